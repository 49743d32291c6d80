"""A hundred thousand different contacts pass by: whether the daemon's memory stays as it is.

Usage: python benchmarks/contacts.py [CONTACTS]. Writes docs/performance/contacts.json, of which
benchmarks/run.py tells on the page. Exit status 1 if memory grows, or something is left behind.
"""

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contenders import BUILD, HERE, end_in_order
from figures import mb, table, trend
from subject import Outside, Recado, outside_world, recado

KEPT = HERE.parent / "docs" / "performance" / "contacts.json"
STEPS = 20
ANSWER_EVERY = 8
"""So many have enough answers that the caches of what is known of chats (10,000) are full too."""
CONNECTIONS = 16
JUDGED_FROM = 0.5
LIMIT_BYTES = 20.0
"""A contact may leave so much behind in memory: far less than the smallest thing about it would."""
SETTLE_SECONDS = 120
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
    "RECADO_BUFFER__IDLE_SECONDS": "0.5",
    "RECADO_PRESENCE__ENABLED": "false",
    "RECADO_TAKEOVER__PAUSE_MINUTES": "60",
    "RECADO_HOUSEKEEPING__FIGURES_SECONDS": "0.5",
}

Found = dict[str, Any]


def measure(contacts: int, folder: Path) -> Found:
    """Let them come, step by step; look when all of a step are gone. RuntimeError if they stay."""
    samples: list[Found] = []
    refused = 0
    with outside_world() as outside, recado(folder / "contacts", outside, SETTINGS) as subject:
        outside("manner", shortest=0.01, longest=0.02)
        began = time.perf_counter()
        for step in range(STEPS):
            first, last = step * contacts // STEPS, (step + 1) * contacts // STEPS
            refused = _step(outside, subject, first, last - first)
            samples.append({"contacts": last, "rss": subject.memory()})
            print(f"{last:>9,} contacts  {mb(subject.memory())} MB", file=sys.stderr)
        seconds = time.perf_counter() - began
        turns, cpu = subject.figures()["recado_turns_total"], subject.cpu_seconds()
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "samples": samples,
        "refused": refused,
        "turns": turns,
        "seconds": seconds,
        "cpu": cpu,
    }


def _step(outside: Outside, subject: Recado, first: int, amount: int) -> int:
    """Let so many contacts pass by; gives how many calls were refused so far."""
    told = outside(
        "pass_by", first=first, amount=amount, connections=CONNECTIONS, every=ANSWER_EVERY
    )
    ends = time.perf_counter() + SETTLE_SECONDS
    figures = subject.figures()
    while figures["recado_queue_messages"] or figures["recado_active_chats"]:
        if time.perf_counter() > ends:
            raise RuntimeError(f"{figures['recado_active_chats']:.0f} chats do not end")
        time.sleep(0.5)  # noqa: TID251 - another process is waited for, which tells nobody
        figures = subject.figures()
    return int(told["refused"])


def bytes_each(found: Found) -> tuple[float, float]:
    """The memory left behind by each contact of the second half, and its uncertainty."""
    samples = found["samples"]
    judged = samples[int(len(samples) * JUDGED_FROM) :]
    went = trend([(one["contacts"], one["rss"]) for one in judged])
    return went.slope, went.error


def grows(found: Found) -> bool:
    """Whether it is more than may be, and more than it wavers."""
    each, error = bytes_each(found)
    return each > max(LIMIT_BYTES, error)


def known() -> Found | None:
    """The result of the last run, if there was one."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else None


def text(found: Found) -> str:
    """The section of the page."""
    samples = found["samples"]
    each, error = bytes_each(found)
    last = samples[-1]["contacts"]
    shown = [samples[0], *samples[3::4]]
    rows = [["RSS, MB", *(mb(sample["rss"]) for sample in shown)]]
    return f"""## Contacts: {last:,} pass by

{table(["contacts so far", *(f"{sample['contacts']:,}" for sample in shown)], rows)}

- Each of them is another one, writes once, and is not seen again. One in {ANSWER_EVERY} is
  answered
  by the model ({found["turns"]:,.0f} turns), the others by an agent. Memory is looked at when the
  last of a step is gone.
- In the second half each contact left {each:+,.1f} bytes behind (± {error:,.1f}, 95%), which
  {"is **growth**" if grows(found) else "is none"}: {LIMIT_BYTES:g} would be.
- It took {found["seconds"]:.0f} s and {found["cpu"]:.0f} s of CPU time. Measured on {found["on"]}.
"""


def main() -> int:
    """Measure, write, judge."""
    contacts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    end_in_order()
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="contacts-") as folder:
        found = measure(contacts, Path(folder))
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(found))
    print(text(found))
    return 1 if grows(found) or found["refused"] else 0


if __name__ == "__main__":
    sys.exit(main())
