"""A long time of mixed traffic: whether memory, descriptors, threads and tasks stay as they are.

Usage: python benchmarks/soak.py MINUTES. Writes docs/performance/soak.json and soak.svg, of which
benchmarks/run.py tells on the page. Exit status 1 if something grew.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from contenders import BUILD, HERE, end_in_order
from figures import mb, middle, slope, table
from plot import Line, course
from simulated_customers import AGENT_EVERY, GROUP_EVERY, MEDIA_EVERY, MIXED_CHATS
from subject import Outside, Recado, outside_world, recado

KEPT = HERE.parent / "docs" / "performance" / "soak.json"
STEP_SECONDS = 10
CALLS_A_SECOND = 20
WARM_UP_SHARE, LEAST_WARM_UP = 0.2, 90
"""Part of the time that is not judged, and seconds: chats come to life, caches fill."""
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "1",
    "RECADO_TAKEOVER__PAUSE_MINUTES": "0.2",
    "RECADO_BRAKES__LOOP_ANSWERS": "0",
    "RECADO_BRAKES__REPEATS": "0",
}

Found = dict[str, Any]


class Limit(NamedTuple):
    """How much a figure may rise while it is judged: the larger of a share of it and an amount."""

    share: float
    amount: float


LIMITS = {
    "rss": Limit(0.06, 6e6),
    "descriptors": Limit(0.1, 10),
    "threads": Limit(0.1, 4),
    "chats": Limit(0.1, 20),
}
FLOORS = ("descriptors", "threads")
NAMES = {
    "rss": "RSS, MB",
    "descriptors": "file descriptors",
    "threads": "threads",
    "chats": "tasks of chats",
}


def measure(minutes: float, folder: Path) -> Found:
    """Let traffic run for so long; look every ten seconds. Raises RuntimeError if it ends."""
    samples: list[Found] = []
    sent = refused = 0
    with outside_world() as outside, recado(folder / "soak", outside, SETTINGS) as subject:
        outside("manner", shortest=0.5, longest=2)
        began = time.perf_counter()
        while (at := time.perf_counter() - began) < minutes * 60:
            told = outside("mixed", seconds=STEP_SECONDS, rate=CALLS_A_SECOND)
            sent, refused = sent + told["sent"], told["refused"]
            samples.append(_sample(outside, subject, folder / "soak", at + STEP_SECONDS))
            _tell(samples[-1])
        answered = subject.figures().get("recado_turns_total", 0)
        stop, status = subject.stop()
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "minutes": minutes,
        "samples": samples,
        "sent": sent,
        "refused": refused,
        "turns": answered,
        "stop_seconds": stop,
        "status": status,
    }


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


def rise(found: Found, name: str) -> float:
    """By how much a figure has grown while it was judged.

    Of connections and threads, which come and go with what is done at the moment, it is that of
    the floor: the least of the last third of the time beside the least of the first. Of the others
    it is that of their fitted line.
    """
    samples = judged(found)
    if len(samples) < 3:
        return 0
    if name in FLOORS:
        third = len(samples) // 3
        first, last = samples[:third], samples[-third:]
        return float(min(one[name] for one in last) - min(one[name] for one in first))
    span: float = samples[-1]["at"] - samples[0]["at"]
    return slope([(sample["at"], sample[name]) for sample in samples]) * span


def is_flat(found: Found, name: str) -> bool:
    """Whether a figure has grown by no more than its limit."""
    usual, limit = middle(sample[name] for sample in judged(found)), LIMITS[name]
    return rise(found, name) <= max(usual * limit.share, limit.amount)


def known() -> Found | None:
    """What the last soak has found, if there was one."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else None


def text(found: Found) -> str:
    """The section of the page."""
    samples = judged(found)
    rows = []
    for name, shown in NAMES.items():
        part = 1e6 if name == "rss" else 1
        values = [sample[name] / part for sample in samples]
        rows.append(
            [
                shown,
                f"{middle(values):,.0f}",
                f"{max(values, default=0):,.0f}",
                f"{rise(found, name) / part:+,.1f}",
                "flat" if is_flat(found, name) else "**grows**",
            ]
        )
    stored = rise(found, "store") / 1e6
    everyday = samples[-1]["at"] - samples[0]["at"] if samples else 1
    cpu = (samples[-1]["cpu"] - samples[0]["cpu"]) / everyday if samples else 0
    return f"""## Soak: mixed traffic for {found["minutes"]:g} minutes

![Memory over time](performance/soak.svg)

{table(["", "usual", "most", "rise", ""], rows)}

- {found["sent"]:,} calls, {CALLS_A_SECOND} a second, about {MIXED_CHATS:,} chats: texts,
  one in {MEDIA_EVERY} a picture in its body, one in {GROUP_EVERY} of a group,
  one in {AGENT_EVERY} an agent who takes the chat over; each reply with its echo and status.
  {found["turns"]:,.0f} turns ended. Not answered with 200: {found["refused"]}.
- The first {WARM_UP_SHARE:.0%}, {LEAST_WARM_UP} s at least, is not judged: chats come to life and
  caches fill. *Rise* is that of a line fitted through the rest, over all of its time; of file
  descriptors and threads, that of the least of the last third over the least of the first.
- Beside it the store grew by {stored:,.0f} MB, which it is meant to. The daemon used {cpu:.2f}
  cores, and stopped in {found["stop_seconds"]:.2f} s with exit status {found["status"]}.
  Measured on {found["on"]}.
"""


def drawing(found: Found) -> str:
    """Memory and store over time, as SVG."""
    samples = found["samples"]
    lines = [
        Line("resident memory", [(one["at"] / 60, one["rss"] / 1e6) for one in samples]),
        Line("store on disk", [(one["at"] / 60, one["store"] / 1e6) for one in samples]),
        Line("chats with a task", [(one["at"] / 60, one["chats"]) for one in samples]),
    ]
    return course("Mixed traffic", "minutes", "MB, and number of chats", lines)


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
    flat = all(is_flat(found, name) for name in LIMITS) and not found["refused"]
    if not judged(found):
        print("too short to be judged", file=sys.stderr)
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
