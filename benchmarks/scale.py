"""How memory, loop and processor fare as there is more at once: windows, runs, known threads."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import mb, middle, ms, percentile, spread_of, table
from plot import Line, growth
from seeding import seeded
from subject import Outside, Recado, outside_world, recado

from daemon.assistant.responses_connection import MAX_CONNECTIONS

WINDOWS = (100, 1_000, 10_000, 100_000)
RUNS = (100, 1_000, MAX_CONNECTIONS)
THREADS = (100, 1_000, 10_000, 100_000)
LARGE = 2_000
"""What is more at once than this is left out of a quick look."""
WORD_SECONDS = 1.0
"""Between two words of a run that streams."""
SLOW_SECONDS = 10.0
PROBES_A_SECOND = 50
HEALTH_PROBES = 5
LOOKS = 3
DESCRIPTORS = 2 * MAX_CONNECTIONS + 1_000
"""Each run is a connection at both ends; the simulator holds the customers' besides."""
SETTLE_SECONDS = 180
STREAM_SECONDS = 150
"""How long all runs may take until they stream."""
QUIET_CORES, QUIET_LOOKS = 0.06, 3
"""What it uses at most when there is nothing to do, and how often that is to be seen."""
NEVER = {
    "RECADO_BUFFER__WINDOW_SECONDS": "3600",
    "RECADO_BUFFER__MAX_WAIT_SECONDS": "3600",
    "RECADO_PRESENCE__ENABLED": "false",
}
"""Windows stay open; that so many contacts are new at once, and subscribed to, is not measured."""
AT_ONCE = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
    "RECADO_ASSISTANT__RUN_TIMEOUT_SECONDS": "600",
    "RECADO_ASSISTANT__MAX_CONCURRENT_RUNS": "10000",
}
MEMORY_GOAL = 400e6
PLOTS = {"rss": "Memory", "lag": "Waits of the event loop", "cpu": "Processor"}

Found = dict[str, Any]


class NotReached(Exception):
    """So many were not at once in the time that there is."""

    def __init__(self, reached: int) -> None:
        super().__init__(reached)
        self.reached = reached


def measure(*, quick: bool, folder: Path) -> Found:
    """Measure each size on a daemon of its own."""
    seconds = 1.0 if quick else 2.0
    _allow_descriptors()
    cells: list[Found] = []
    missed: list[Found] = []
    with outside_world() as outside, outside_world() as prober:
        for kind, sizes, settings, prepare in (
            ("open windows", WINDOWS, NEVER, _open_windows),
            ("streaming runs", RUNS, AT_ONCE, _begin_runs),
            ("known threads", THREADS, NEVER, _nothing),
        ):
            for size in sizes:
                if quick and size > LARGE:
                    continue
                print(f"  {size:,} {kind}", file=sys.stderr)
                own = folder / f"scale {kind} {size}"
                if kind == "known threads":
                    seeded(own, outside, size)
                with recado(own, outside, settings) as subject:
                    try:
                        prepare(outside, size)
                    except NotReached as failure:
                        missed.append({"kind": kind, "size": size, "reached": failure.reached})
                    else:
                        quiet = 0 if kind == "streaming runs" else _settled(subject)
                        prober("target", port=subject.port)
                        seen = _looks(prober, subject, seconds)
                        cells.append({"kind": kind, "size": size, "quiet_after": quiet, **seen})
                    outside("release")
                    subject.kill()
                outside("forget")
    return {"cells": cells, "missed": missed, "seconds": seconds}


def _allow_descriptors() -> None:
    """Let this process and those it starts have the files that the runs need, if they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _nothing(_outside: Outside, _size: int) -> None:
    """The store has it all already."""


def _open_windows(outside: Outside, size: int) -> None:
    outside("fill", amount=size, connections=32, server="lid")


def _begin_runs(outside: Outside, size: int) -> None:
    """Have so many runs stream at once. Raises NotReached if they do not come to that.

    Until all have begun they stream slowly, so that those that are there do not keep others out.
    """
    outside("manner", shortest=0.1, longest=0.2)
    outside("hold", seconds=SLOW_SECONDS)
    outside("fill", amount=size, connections=16)
    reached = outside("streaming", amount=size, patience=STREAM_SECONDS)["streaming"]
    if reached < size:
        raise NotReached(reached)
    outside("pace", seconds=WORD_SECONDS)


def _settled(subject: Recado) -> float:
    """Wait until the work of the beginning is done, such as asking Whapi about new contacts.

    Gives the seconds that it took, `SETTLE_SECONDS` at most.
    """
    began = time.perf_counter()
    quiet = 0
    while quiet < QUIET_LOOKS and time.perf_counter() - began < SETTLE_SECONDS:
        cpu, at = subject.cpu_seconds(), time.perf_counter()
        time.sleep(0.5)  # noqa: TID251 - another process is waited for, which tells nobody
        used = (subject.cpu_seconds() - cpu) / (time.perf_counter() - at)
        quiet = quiet + 1 if used <= QUIET_CORES else 0
    return time.perf_counter() - began


def _looks(prober: Outside, subject: Recado, seconds: float) -> Found:
    """See how it is while nothing new comes but a few requests, several times."""
    prober("probe", path="/ready", seconds=seconds / 2, rate=PROBES_A_SECOND)
    looks = [_look(prober, subject, seconds) for _ in range(LOOKS)]
    health = prober("probe", path="/health", seconds=1, rate=HEALTH_PROBES)["delays"]
    return {
        "rss": subject.memory(),
        "cpu": [look["cpu"] for look in looks],
        "lag": [percentile(look["delays"], 0.99) for look in looks],
        "lag_p50": [percentile(look["delays"], 0.5) for look in looks],
        "health": percentile(health, 0.5),
        "ready": subject.ready_seconds,
    }


def _look(prober: Outside, subject: Recado, seconds: float) -> Found:
    began, cpu = time.perf_counter(), subject.cpu_seconds()
    delays = prober("probe", path="/ready", seconds=seconds, rate=PROBES_A_SECOND)["delays"]
    # Where the loop is late the answers take longer than the time in which they were asked for.
    span = time.perf_counter() - began
    return {"cpu": (subject.cpu_seconds() - cpu) / span, "delays": delays}


def cell_of(found: Found, kind: str, size: int) -> Found | None:
    """The figure measured there, if there is one."""
    for cell in found["cells"]:
        if (cell["kind"], cell["size"]) == (kind, size):
            return dict(cell)
    return None


def bytes_each(found: Found, kind: str) -> float:
    """The memory of one more of a kind, by the largest number measured."""
    cells = [cell for cell in found["cells"] if cell["kind"] == kind]
    few, many = cells[0], cells[-1]
    bytes_more: int = many["rss"] - few["rss"]
    return bytes_more / max(1, int(many["size"]) - int(few["size"]))


def plots(found: Found) -> dict[str, str]:
    """The growth curves as SVG, by the names of their files."""
    values: dict[str, tuple[str, Callable[[Found], float]]] = {
        "rss": ("RSS in MB", lambda cell: cell["rss"] / 1e6),
        "lag": ("p99 of /ready in ms", lambda cell: middle(cell["lag"]) * 1000),
        "cpu": ("cores", lambda cell: max(middle(cell["cpu"]), 0.001)),
    }
    kinds = dict.fromkeys(cell["kind"] for cell in found["cells"])
    drawn = {}
    for name, (unit, value) in values.items():
        lines = [
            Line(
                kind,
                [(cell["size"], value(cell)) for cell in found["cells"] if cell["kind"] == kind],
            )
            for kind in kinds
        ]
        drawn[f"scale-{name}.svg"] = growth(PLOTS[name], "at once", unit, lines)
    return drawn


def _longest_wait(found: Found) -> str:
    longest = max(found["cells"], key=lambda cell: cell["quiet_after"])
    return f"{longest['quiet_after']:.0f} s (with {longest['size']:,} {longest['kind']})"


def _missed(found: Found) -> str:
    """A line of the page for each size that could not be had here; empty if all could."""
    return "".join(
        f"- {one['size']:,} {one['kind']} could not be had here: after {STREAM_SECONDS} s there"
        f" were {one['reached']:,}.\n"
        for one in found["missed"]
    )


def text(found: Found) -> str:
    """The section of the page."""
    rows = [
        [
            f"{cell['size']:,} {cell['kind']}",
            mb(cell["rss"]),
            ms(middle(cell["lag_p50"])),
            spread_of([1000 * lag for lag in cell["lag"]], ",.1f"),
            spread_of(cell["cpu"], ".2f"),
            ms(cell["health"]),
        ]
        for cell in found["cells"]
    ]
    heads = ["", "RSS MB", "/ready p50 ms", "p99 ms", "CPU cores", "/health p50 ms"]
    images = "\n".join(
        f"![{title} as there is more at once](performance/scale-{name}.svg)"
        for name, title in PLOTS.items()
    )
    return f"""## Scale: the cost of concurrency

{images}

{table(heads, rows)}

- *Open windows* are chats with messages whose burst may continue; their presences are not
  subscribed to. *Streaming runs* are turns whose answer comes at {1 / WORD_SECONDS:g} word a
  second, each over its own connection. *Known threads* are conversations in the store, each with
  an answered turn; none of them is active.
- There are no more than {MAX_CONNECTIONS:,} streaming runs: the daemon opens no more connections
  to the model (`MAX_CONNECTIONS` in `daemon/assistant/responses_connection.py`); further runs wait
  for one of them.
{_missed(found)}- Memory is the resident set of the one process. The delay of the event loop is
measured from outside: a separate process requests `/ready`, whose answer needs no work,
  {PROBES_A_SECOND} times a second for {found["seconds"]:g} s on schedule. The processor time is
  that of the same seconds, including these requests. `/health` counts the work of all chats; it is
  requested {HEALTH_PROBES} times afterwards.
- Each line is a separate daemon, measured {LOOKS} times: the median, with minimum and maximum in
  brackets. Measuring begins when the initial work is done, or after
  {SETTLE_SECONDS} s; the longest took {_longest_wait(found)}.
"""
