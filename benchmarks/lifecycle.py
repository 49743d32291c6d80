"""Starting and stopping: until it is ready, until it is gone, until what was left is answered."""

import time
from pathlib import Path
from typing import Any

from figures import mb, middle, spread_of, table
from seeding import seeded
from subject import Outside, outside_world, recado

THREADS = 100_000
ORPHANS = 1_000
HANGING = 200
AT_ONCE = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
    "RECADO_RECOVERY__DELAY_SECONDS": "0",
    "RECADO_RECOVERY__TIMEOUT_SECONDS": "120",
    "RECADO_ASSISTANT__RUN_TIMEOUT_SECONDS": "600",
}
RECOVERY_SECONDS = 90
START_GOAL, STOP_GOAL, IDLE_STOP_GOAL = 1.5, 5.0, 1.0

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Start and stop in turn with an empty and a full store; then stop and kill under load."""
    rounds, threads, orphans = (1, 10_000, 100) if quick else (4, THREADS, ORPHANS)
    with outside_world() as outside:
        full = seeded(folder / "full", outside, threads)
        starts: dict[str, list[float]] = {"empty": [], "full": []}
        memory: dict[str, list[float]] = {"empty": [], "full": []}
        stops: dict[str, list[float]] = {"empty": [], "full": []}
        for number in range(rounds):
            for name, own in (("empty", folder / f"empty {number}"), ("full", full)):
                with recado(own, outside) as subject:
                    starts[name].append(subject.ready_seconds)
                    memory[name].append(subject.memory())
                    outside("probe", path="/ready", seconds=0.2, rate=10)
                    stops[name].append(_stopped(subject.stop()))
        loaded = [_stop_under_load(outside, folder / f"load {n}") for n in range(min(rounds, 2))]
        recovery = _recover(outside, folder / "orphans", orphans)
    return {
        "threads": threads,
        "starts": starts,
        "memory": memory,
        "stops": stops,
        "loaded": loaded,
        "recovery": recovery,
        "rounds": rounds,
    }


def _stopped(end: tuple[float, int]) -> float:
    seconds, status = end
    if status not in {0, 1}:
        raise RuntimeError(f"the daemon ended with status {status}")
    return seconds


def _stop_under_load(outside: Outside, folder: Path) -> float:
    """Stop it while runs hang and further messages come."""
    outside("manner", shortest=0.1, longest=0.2)
    outside("hold", seconds=1)
    with recado(folder, outside, AT_ONCE) as subject:
        outside("fill", amount=HANGING, connections=16)
        outside("streaming", amount=HANGING, patience=60)
        seconds = _stopped(subject.stop())
    outside("release")
    outside("forget")
    return seconds


def _recover(outside: Outside, folder: Path, orphans: int) -> Found:
    """Kill it amid so many runs; see how soon the next process has answered them all."""
    outside("manner", shortest=0.1, longest=0.2)
    outside("hold", seconds=1)
    with recado(folder, outside, AT_ONCE) as subject:
        outside("fill", amount=orphans, connections=16)
        outside("streaming", amount=orphans, patience=120)
        subject.kill()
    outside("release")
    began = time.perf_counter()
    with recado(folder, outside, AT_ONCE) as subject:
        questions = outside("answered", patience=RECOVERY_SECONDS)["questions"]
        seconds = time.perf_counter() - began
        ready, cpu = subject.ready_seconds, subject.cpu_seconds()
    outside("forget")
    return {
        "orphans": orphans,
        "seconds": seconds,
        "ready": ready,
        "cpu": cpu,
        "unanswered": sum(not one["replies"] for one in questions),
        "twice": sum(one["replies"] > 1 for one in questions),
    }


def text(found: Found) -> str:
    """The section of the page."""
    recovery = found["recovery"]
    rows = [
        ["start to `READY=1`, empty store", spread_of(found["starts"]["empty"], ".2f")],
        [
            f"start to `READY=1`, {found['threads']:,} threads in the store",
            spread_of(found["starts"]["full"], ".2f"),
        ],
        ["stop, idle", spread_of([*found["stops"]["empty"], *found["stops"]["full"]], ".2f")],
        [f"stop, {HANGING} runs hanging", spread_of(found["loaded"], ".2f")],
        [
            f"{recovery['orphans']:,} turns orphaned by kill -9: start to the last reply",
            f"{recovery['seconds']:.1f}",
        ],
    ]
    return f"""## Start and stop

{table(["", "seconds: median (least to greatest)"], rows)}

- {found["rounds"]} round(s), empty and full store in turn; the files are in the page cache. A
  start counts from `fork` to the datagram for systemd, a stop from SIGTERM to the end of the
  process.
- When ready, the process has {mb(middle(found["memory"]["empty"]))} MB of resident memory with
  an empty store, and {mb(middle(found["memory"]["full"]))} MB with the full one.
- A stop waits for running turns up to 60 % of `shutdown.deadline_seconds` (5 s): hanging runs use
  all of it, everything else ends sooner.
- Orphaned turns: {recovery["orphans"]:,} runs were streaming when the process was killed. The next
  process requested their answers again ({recovery["cpu"]:.1f} s of CPU), with
  `recovery.delay_seconds`
  = 0; the model took 0.1 to 0.2 s for each. Unanswered after {RECOVERY_SECONDS} s:
  {recovery["unanswered"]}; answered twice: {recovery["twice"]}.
"""


def start_seconds(found: Found) -> float:
    """The median of the starts with the full store."""
    return middle(found["starts"]["full"])
