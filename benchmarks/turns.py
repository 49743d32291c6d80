"""What a turn costs beside the waits that are meant: from a customer's webhook to the reply."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contenders import HERE
from figures import middle, ms, percentile, table
from subject import Outside, Recado, outside_world, recado

WINDOW_SECONDS = 0.5
RATES = (1, 50, 200)
TOOL_RATE = 10
MODEL = {"shortest": 0.4, "longest": 1.6}
"""Seconds that a round of the model takes, spread evenly."""
POLLING_TIMEOUT = 120
FEWEST = 4
"""Turns that are measured at least, however slow the rate."""
DRAIN_SECONDS = 30
"""How long replies are waited for after the last question. Those that are later have none."""

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Measure all in turn, round by round."""
    rounds, seconds = (1, 1) if quick else (3, 2)
    cells: list[Found] = []
    settings = {"RECADO_BUFFER__WINDOW_SECONDS": str(WINDOW_SECONDS)}
    with outside_world() as outside, recado(folder / "turns", outside, settings) as subject:
        outside("manner", shortest=0.01, longest=0.02)
        outside("burst", amount=40, rate=40, patience=DRAIN_SECONDS)
        for number in range(rounds):
            print(f"  round {number + 1} of {rounds}", file=sys.stderr)
            cells += [_recado(outside, subject, rate, seconds, tool=False) for rate in RATES]
            cells.append(_recado(outside, subject, TOOL_RATE, seconds, tool=True))
            cells += [_polling(outside, TOOL_RATE, seconds, tool=tool) for tool in (False, True)]
    return {"cells": cells, "seconds": seconds, "rounds": rounds}


def _recado(outside: Outside, subject: Recado, rate: float, seconds: float, *, tool: bool) -> Found:
    amount = max(FEWEST, int(rate * seconds))
    outside("manner", tool=tool, **MODEL)
    cpu, main = subject.cpu_seconds(), subject.main_seconds()
    outside_cpu = outside("spent")["cpu_seconds"]
    found = outside("burst", amount=amount, rate=rate, patience=DRAIN_SECONDS)
    cell = _cell("Recado", found, rate, tool=tool, beside=WINDOW_SECONDS)
    cell["cpu_ms"] = (subject.cpu_seconds() - cpu) / amount * 1000
    cell["main_ms"] = (subject.main_seconds() - main) / amount * 1000
    cell["outside_cpu_ms"] = (outside("spent")["cpu_seconds"] - outside_cpu) / amount * 1000
    return cell


def _polling(outside: Outside, rate: float, seconds: float, *, tool: bool) -> Found:
    amount = max(FEWEST, int(rate * seconds))
    outside("manner", tool=tool, **MODEL)
    command = [sys.executable, str(HERE / "polling_cycle.py")]
    command += [str(outside.port), str(amount), str(rate)]
    subprocess.run(command, check=True, timeout=POLLING_TIMEOUT)
    return _cell("polling", outside("answered", patience=1), rate, tool=tool, beside=0)


def _cell(name: str, found: Found, rate: float, *, tool: bool, beside: float) -> Found:
    questions = found["questions"]
    answered = [one for one in questions if one["replies"]]
    last = max((one["replied_at"] for one in answered), default=0)
    first = min((one["posted_at"] for one in questions), default=0)
    return {
        "name": name,
        "rate": rate,
        "tool": tool,
        "asked": len(questions),
        "unanswered": len(questions) - len(answered),
        "twice": sum(one["replies"] > 1 for one in questions),
        "refused": found["refused"],
        "span": last - first,
        "overheads": [
            one["replied_at"] - one["posted_at"] - beside - one["model_seconds"] for one in answered
        ],
    }


def overhead(found: Found, name: str, rate: float, share: float, *, tool: bool = False) -> float:
    """A percentile of the overhead in seconds: the median over the rounds."""
    return middle(
        percentile(cell["overheads"], share) for cell in _cells(found, name, rate, tool=tool)
    )


def cpu_ms(found: Found, rate: float) -> float:
    """CPU time of the daemon for a turn at this rate, in milliseconds."""
    return middle(cell["cpu_ms"] for cell in _cells(found, "Recado", rate, tool=False))


def main_ms(found: Found, rate: float) -> float:
    """That of its main thread alone; 0 if it was not measured."""
    cells = _cells(found, "Recado", rate, tool=False)
    return middle(cell.get("main_ms", 0.0) for cell in cells)


def served_rate(found: Found, rate: float) -> float:
    """The rate of turns of a second Recado at this rate of questions, while it had any."""
    cells = _cells(found, "Recado", rate, tool=False)
    # A turn takes its window and the model's time whatever the rate is: no work is done then.
    idle = WINDOW_SECONDS + (MODEL["shortest"] + MODEL["longest"]) / 2
    return middle(len(cell["overheads"]) / max(0.1, cell["span"] - idle) for cell in cells)


def text(found: Found) -> str:
    """The section of the page."""
    rows = [
        _row(found, "Recado", f"Recado, {rate} chats a second", rate, tool=False) for rate in RATES
    ]
    rows += [
        _row(found, "polling", f"polling, {TOOL_RATE} a second", TOOL_RATE, tool=False),
        _row(found, "Recado", f"Recado, one tool, {TOOL_RATE} a second", TOOL_RATE, tool=True),
        _row(found, "polling", f"polling, one tool, {TOOL_RATE} a second", TOOL_RATE, tool=True),
    ]
    heads = ["", "turns", "p50 ms", "p99 ms", "slowest ms", "CPU ms a turn", "main thread's"]
    busiest = max(RATES)
    troubles = sum(cell["unanswered"] + cell["twice"] + cell["refused"] for cell in found["cells"])
    wrong = "none" if not troubles else str(troubles)
    return f"""## Turn overhead: from webhook to reply, without intended waits

The time from a customer's message to the reply's arrival at Whapi, minus the window
({WINDOW_SECONDS:g} s
here) and the model's time; typing is not shown. The rest is Recado's overhead: HTTP in both
directions, storing, the ledger of the turn, starting the model's stream.

{table(heads, rows)}

- Each turn is in another, new chat. The model streams its answer after
  {MODEL["shortest"]:g} to {MODEL["longest"]:g} s, which the simulator records for each call. *One
  tool* is a turn of two rounds with a built-in tool between them.
- *Polling* is the polling cycle of the replaced system with the same model
  (`benchmarks/polling_cycle.py`): once a second, after tools every 0.5 s. Its costs for window,
  HTTP and store are not included, so this is only the delay of its waits.
- At {busiest} a second, questions come for {found["seconds"]:g} s. Recado got through
  {served_rate(found, busiest):.0f} turns a second; below {busiest}, turns queue, and the figures
  show the delay at the end of that time. It would grow with a longer rush.
- Missing or duplicate replies, and webhooks not answered with 200: {wrong}.
- {found["rounds"]} round(s), with all cells in turn in each; medians over the rounds, the slowest
  of all.
- Simulator and customers are one separate process; a turn takes
  {middle(_outside(found, busiest)):.1f} ms of its CPU time, including echo and delivery status of
  each reply.
"""


def _row(found: Found, name: str, shown: str, rate: float, *, tool: bool) -> list[str]:
    cells = _cells(found, name, rate, tool=tool)
    cpu = [cell["cpu_ms"] for cell in cells if "cpu_ms" in cell]
    return [
        shown,
        f"{sum(len(cell['overheads']) for cell in cells):,}",
        ms(overhead(found, name, rate, 0.5, tool=tool)),
        ms(overhead(found, name, rate, 0.99, tool=tool)),
        ms(max((max(cell["overheads"], default=0) for cell in cells), default=0)),
        f"{middle(cpu):.1f}" if cpu else "",
        f"{middle(cell.get('main_ms', 0.0) for cell in cells):.1f}" if cpu else "",
    ]


def _cells(found: Found, name: str, rate: float, *, tool: bool) -> Sequence[Found]:
    wanted = (name, rate, tool)
    return [cell for cell in found["cells"] if (cell["name"], cell["rate"], cell["tool"]) == wanted]


def _outside(found: Found, rate: float) -> list[float]:
    return [cell["outside_cpu_ms"] for cell in _cells(found, "Recado", rate, tool=False)]
