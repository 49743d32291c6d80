"""A long time of mixed traffic: whether memory, descriptors, threads and tasks stay as they are.

Usage: python benchmarks/soak.py MINUTES. Writes docs/performance/soak.json and soak.svg, of which
benchmarks/run.py tells on the page. Exit status 1 if something grew, or was lost.
"""

import json
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from contenders import BUILD, HERE, end_in_order
from dashboard_readers import ADMIN_TOKEN
from figures import Trend, mb, middle, table, trend
from mixed_traffic import GROUPS, REGULARS, SHARES
from plot import Line, course
from subject import Outside, Recado, outside_world, recado

from daemon.sandbox.payloads import OWN_NUMBER

KEPT = HERE.parent / "docs" / "performance" / "soak.json"
STEP_SECONDS = 10
CALLS_A_SECOND = 30
READERS = 3
RELOAD_EVERY = 12
"""Steps between two reloads, each with other instructions."""
MODEL_FAULT_EVERY, WHAPI_FAULT_EVERY, TOOL_EVERY = 97, 89, 10
QUIET_SECONDS = 60
"""How long work may take that was begun before the end."""
WARM_UP_SHARE, LEAST_WARM_UP = 0.25, 90
"""Part of the time that is not judged, and seconds: chats come to life, caches fill. Those that
remember contacts hold ten thousand, who have passed by after a quarter of an hour."""
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "1",
    "RECADO_TAKEOVER__PAUSE_MINUTES": "0.2",
    "RECADO_BRAKES__LOOP_ANSWERS": "0",
    "RECADO_BRAKES__REPEATS": "0",
    "RECADO_GROUPS__MODE": "mentions",
    "RECADO_GROUPS__OWN_NUMBER": OWN_NUMBER,
    "RECADO_VOICE__TRANSCRIPTION_MODEL": "gpt-transcribe",
    "RECADO_VOICE__TRANSCRIPTION_API_KEY": "none",
    "RECADO_WEB__ADMIN_TOKEN": ADMIN_TOKEN,
}

Found = dict[str, Any]


class Figure(NamedTuple):
    """Something that is to stay as it is."""

    shown: str
    unit: float
    """What one of the shown units is in the measured ones."""
    limit: float
    """How much it may rise in an hour, in shown units."""


FIGURES = {
    "rss": Figure("RSS, MB", 1e6, 1),
    "descriptors": Figure("file descriptors", 1, 10),
    "threads": Figure("threads", 1, 2),
    "chats": Figure("tasks of chats", 1, 50),
}
BLOCKS = 12
"""Parts of the time that is judged, each of which counts with its floor. What comes and goes with
the work of the moment (connections, chats, memory of large bodies) is above it."""
END_SHARE = 0.5
"""The part of it, at its end, that tells what fills up from what leaks."""
UNENDED = {
    "messages": "SELECT state, count(*) FROM messages"
    " WHERE state IN ('received', 'in_turn', 'dead') GROUP BY state",
    "sends": "SELECT state, count(*) FROM outbox"
    " WHERE state IN ('pending', 'sending', 'unknown', 'failed') GROUP BY state",
}
FEWEST_MINUTES = 30
"""Of a shorter time a rise in an hour cannot be told."""


def measure(minutes: float, folder: Path) -> Found:
    """Let traffic run for so long; look every ten seconds. Raises RuntimeError if it ends."""
    samples: list[Found] = []
    sent = refused = reloads = 0
    instructions = folder / "instructions.md"
    shutil.copy(HERE.parent / "config" / "instructions.md", instructions)
    settings = {**SETTINGS, "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(instructions)}
    with outside_world() as outside, recado(folder / "soak", outside, settings) as subject:
        _begin(outside, subject)
        began = time.perf_counter()
        while (at := time.perf_counter() - began) < minutes * 60:
            told = outside("mixed", seconds=STEP_SECONDS, rate=CALLS_A_SECOND)
            sent, refused = sent + told["sent"], told["refused"]
            samples.append(_sample(outside, subject, folder / "soak", at + STEP_SECONDS))
            _tell(samples[-1])
            if len(samples) % RELOAD_EVERY == 0:
                reloads += 1
                _reload(subject, instructions, reloads)
        outside("leave_dashboard")
        _settle(subject)
        answered = subject.figures().get("recado_turns_total", 0)
        faults, readers = outside("faults"), outside("readers")
        left = _left(folder / "soak")
        stop, status = subject.stop()
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "minutes": minutes,
        "samples": samples,
        "sent": sent,
        "refused": refused,
        "turns": answered,
        "reloads": reloads,
        "faults": faults,
        "readers": readers,
        "left": left,
        "stop_seconds": stop,
        "status": status,
    }


def _begin(outside: Outside, subject: Recado) -> None:
    outside("manner", shortest=0.5, longest=2, tool_every=TOOL_EVERY)
    outside("faults", model_every=MODEL_FAULT_EVERY, whapi_every=WHAPI_FAULT_EVERY)
    outside("statuses", each=["delivered", "read"])
    outside("read_dashboard", port=subject.port, amount=READERS)


def _reload(subject: Recado, instructions: Path, number: int) -> None:
    with instructions.open("a") as file:
        file.write(f"\nHoy es la versión {number}.\n")
    subject.process.send_signal(signal.SIGHUP)


def _settle(subject: Recado) -> None:
    """Wait until no chat has work any more, or for `QUIET_SECONDS`."""
    ends = time.perf_counter() + QUIET_SECONDS
    while time.perf_counter() < ends and subject.figures()["recado_queue_messages"]:
        time.sleep(1)  # noqa: TID251 - another process is waited for, which tells nobody


def _left(folder: Path) -> dict[str, int]:
    """The number of messages without an end, by state, and of sends without one."""
    found: dict[str, int] = {}
    uri = f"file:{folder / 'recado.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        for name, query in UNENDED.items():
            found.update(
                {f"{name}: {state}": amount for state, amount in connection.execute(query)}
            )
    return found


def _sample(outside: Outside, subject: Recado, folder: Path, at: float) -> Found:
    figures = subject.figures()
    return {
        "at": at,
        "rss": subject.memory(),
        "descriptors": subject.descriptors(),
        "threads": subject.threads(),
        "chats": figures["recado_active_chats"],
        "store": sum(path.stat().st_size for path in folder.glob("recado.db*")),
        "cpu": subject.cpu_seconds(),
        "outside_cpu": outside("spent")["cpu_seconds"],
    }


def _tell(sample: Found) -> None:
    print(
        f"{sample['at']:6.0f} s  {mb(sample['rss'])} MB  {sample['descriptors']} descriptors"
        f"  {sample['threads']} threads  {sample['chats']:.0f} chats"
        f"  store {mb(sample['store'])} MB",
        file=sys.stderr,
    )


def judged(found: Found) -> Sequence[Found]:
    """The samples after the warm-up."""
    after = max(found["minutes"] * 60 * WARM_UP_SHARE, LEAST_WARM_UP)
    return [sample for sample in found["samples"] if sample["at"] > after]


def course_of(found: Found, name: str, *, of_last: float = 1) -> Trend:
    """The trend of a figure in the last part of the judged time: of its floors, per hour."""
    samples = judged(found)
    samples = samples[int(len(samples) * (1 - of_last)) :]
    floors = [
        (block[0]["at"] / 3600, min(one[name] for one in block))
        for number in range(BLOCKS)
        if (
            block := samples[
                number * len(samples) // BLOCKS : (number + 1) * len(samples) // BLOCKS
            ]
        )
    ]
    return trend(floors)


def verdict(found: Found, name: str) -> str:
    """Whether a figure has grown: by more than its limit, and by more than it wavers.

    What grew and then stays has filled up; a leak goes on.
    """
    if found["minutes"] < FEWEST_MINUTES:
        return "too short to tell"
    limit = FIGURES[name].limit * FIGURES[name].unit
    whole, end = course_of(found, name), course_of(found, name, of_last=END_SHARE)
    if whole.slope <= max(limit, whole.error):
        return "flat"
    return "**grows**" if end.slope > max(limit, end.error) else "grew, then stayed"


def known() -> Found | None:
    """The result of the last soak, if it measured every figure used here."""
    found: Found = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found if "left" in found else None


def text(found: Found) -> str:
    """The section of the page."""
    samples = judged(found)
    rows = []
    for name, figure in FIGURES.items():
        values = [sample[name] / figure.unit for sample in samples]
        went, end = course_of(found, name), course_of(found, name, of_last=END_SHARE)
        rows.append(
            [
                figure.shown,
                f"{middle(values):,.0f}",
                f"{max(values, default=0):,.0f}",
                f"{went.slope / figure.unit:+,.1f} ± {went.error / figure.unit:,.1f}",
                f"{end.slope / figure.unit:+,.1f} ± {end.error / figure.unit:,.1f}",
                f"{figure.limit:g}",
                verdict(found, name),
            ]
        )
    span = samples[-1]["at"] - samples[0]["at"] if len(samples) > 1 else 1
    stored = (samples[-1]["store"] - samples[0]["store"]) / 1e6 if samples else 0
    cpu = (samples[-1]["cpu"] - samples[0]["cpu"]) / span if samples else 0
    shares = "; ".join(f"{share} {kind}" for kind, share in SHARES.items())
    left = ", ".join(f"{amount} {name}" for name, amount in found["left"].items()) or "none"
    heads = ["", "usual", "most", "rise in an hour", "of the end", "may be", ""]
    return f"""## Soak: mixed traffic for {found["minutes"]:g} minutes

![Memory and file descriptors over time](performance/soak.svg)

{table(heads, rows)}

- {found["sent"]:,} calls, {CALLS_A_SECOND} a second; per hundred: {shares}. There are
  {REGULARS:,} regulars and {GROUPS} groups. Each reply gets its echo and the statuses delivered
  and read.
  {found["turns"]:,.0f} turns ended, one in {TOOL_EVERY} with a tool.
- Meanwhile {READERS} operators use the dashboard: {found["readers"]["pages"]:,} pages, and
  {found["readers"]["followed"]:,} times the live log for a while, every third time without
  reading. {found["reloads"]} reloads (SIGHUP), each with other instructions.
- {found["faults"]["model"]:,} calls of the model failed (429, 500, a stream cut off, no answer),
  and {found["faults"]["whapi"]:,} sends (500, 429, no answer, no answer though it was sent).
- Not answered with 200: {found["refused"]} webhooks, {found["readers"]["refused"]} of the
  readers' requests. Without an outcome at the end, or given up: {left}.
- The first {WARM_UP_SHARE:.0%}, {LEAST_WARM_UP} s at least, does not count: chats start and caches
  fill. The rest is divided into {BLOCKS} parts, and a line fitted through the minimum of each:
  *rise in an hour*, with its 95% confidence interval, and likewise *of the end*, the last
  {END_SHARE:.0%} of that time. A figure grows if both exceed the limit and the uncertainty; a
  smaller leak is not detected.
- Meanwhile the store grew by {stored:,.0f} MB, as intended. The daemon used {cpu:.2f}
  cores, and stopped in {found["stop_seconds"]:.2f} s with exit status {found["status"]}.
  Measured on {found["on"]}.
"""


def drawing(found: Found) -> str:
    """Memory and descriptors over time, as SVG."""
    samples = found["samples"]
    lines = [
        Line("resident memory", [(one["at"] / 60, one["rss"] / 1e6) for one in samples]),
        Line("file descriptors", [(one["at"] / 60, one["descriptors"]) for one in samples]),
    ]
    return course("Mixed traffic", "minutes", "MB, and open file descriptors", lines)


def main() -> int:
    """Soak, write, judge."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    end_in_order()
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="soak-") as folder:
        found = measure(minutes, Path(folder))
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(found))
    KEPT.with_suffix(".svg").write_text(drawing(found), "utf-8")
    print(text(found))
    if found["minutes"] < FEWEST_MINUTES:
        print("too short to tell whether anything grows", file=sys.stderr)
    grown = [name for name in FIGURES if verdict(found, name) == "**grows**"]
    wrong = grown or found["refused"] or found["readers"]["refused"] or found["left"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
