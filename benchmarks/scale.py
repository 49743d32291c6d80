"""How memory, loop and processor fare as there is more at once: windows, runs, known threads."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import mb, ms, percentile, table
from plot import Line, growth
from seeding import seeded
from subject import Outside, Recado, outside_world, recado

WINDOWS = (100, 1_000, 10_000)
RUNS = (100, 1_000)
THREADS = (1_000, 10_000, 100_000)
WORD_SECONDS = 1.0
"""Between two words of a run that streams."""
LOOKS_A_SECOND = 50
SETTLE_SECONDS = 25
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
}
MEMORY_GOAL = 400e6
PLOTS = {"rss": "Memory", "lag": "Waits of the event loop", "cpu": "Processor"}

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Measure each size on a daemon of its own."""
    seconds = 1.0 if quick else 3.0
    windows, runs, threads = (sizes[:-1] if quick else sizes for sizes in (WINDOWS, RUNS, THREADS))
    cells: list[Found] = []
    with outside_world() as outside, outside_world() as prober:
        for kind, sizes, settings, prepare in (
            ("open windows", windows, NEVER, _open_windows),
            ("streaming runs", runs, AT_ONCE, _begin_runs),
            ("known threads", threads, NEVER, _nothing),
        ):
            for size in sizes:
                own = folder / f"scale {kind} {size}"
                if kind == "known threads":
                    seeded(own, outside, size)
                with recado(own, outside, settings) as subject:
                    prepare(outside, size)
                    quiet = 0 if kind == "streaming runs" else _settled(subject)
                    prober("target", port=subject.port)
                    seen = _look(prober, subject, seconds)
                    cells.append({"kind": kind, "size": size, "quiet_after": quiet, **seen})
                    outside("release")
                    subject.kill()
                outside("forget")
    return {"cells": cells, "seconds": seconds}


def _nothing(_outside: Outside, _size: int) -> None:
    """The store has it all already."""


def _open_windows(outside: Outside, size: int) -> None:
    outside("fill", amount=size, connections=32)


def _begin_runs(outside: Outside, size: int) -> None:
    """Have so many runs stream at once. Raises RuntimeError if they do not come to that."""
    outside("manner", shortest=0.1, longest=0.2)
    outside("hold", seconds=WORD_SECONDS)
    outside("fill", amount=size, connections=16)
    reached = outside("streaming", amount=size, patience=120)["streaming"]
    if reached < size:
        raise RuntimeError(f"only {reached} of {size} runs are streaming")


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


def _look(prober: Outside, subject: Recado, seconds: float) -> Found:
    """See how it is while nothing new comes but a few requests for ``/health``."""
    prober("probe", path="/health", seconds=seconds / 2, rate=LOOKS_A_SECOND)
    cpu = subject.cpu_seconds()
    delays = prober("probe", path="/health", seconds=seconds, rate=LOOKS_A_SECOND)["delays"]
    return {
        "cpu": (subject.cpu_seconds() - cpu) / seconds,
        "rss": subject.memory(),
        "lag": percentile(delays, 0.99),
        "lag_p50": percentile(delays, 0.5),
        "ready": subject.ready_seconds,
    }


def cell_of(found: Found, kind: str, size: int) -> Found | None:
    """What was measured there, if it was."""
    for cell in found["cells"]:
        if (cell["kind"], cell["size"]) == (kind, size):
            return dict(cell)
    return None


def plots(found: Found) -> dict[str, str]:
    """The growth curves as SVG, by the names of their files."""
    values: dict[str, tuple[str, Callable[[Found], float]]] = {
        "rss": ("RSS in MB", lambda cell: cell["rss"] / 1e6),
        "lag": ("p99 of /health in ms", lambda cell: cell["lag"] * 1000),
        "cpu": ("cores", lambda cell: max(cell["cpu"], 0.001)),
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


def text(found: Found) -> str:
    """The section of the page."""
    rows = [
        [
            f"{cell['size']:,} {cell['kind']}",
            mb(cell["rss"]),
            ms(cell["lag_p50"]),
            ms(cell["lag"]),
            f"{cell['cpu']:.2f}",
        ]
        for cell in found["cells"]
    ]
    heads = ["", "RSS MB", "/health p50 ms", "p99 ms", "CPU cores"]
    images = "\n".join(
        f"![{title} as there is more at once](performance/scale-{name}.svg)"
        for name, title in PLOTS.items()
    )
    return f"""## Scale: what more at once costs

{images}

{table(heads, rows)}

- *Open windows* are chats that have written and whose burst may go on; their presences are not
  subscribed to. *Streaming runs* are turns whose answer comes at {1 / WORD_SECONDS:g} word a
  second, each over a connection of its own. *Known threads* are conversations in the store,
  each with a turn that was answered; none of them is active.
- Memory is the resident set after it, of one process. How long the event loop lets things wait is
  seen from outside: `/health` is asked for {LOOKS_A_SECOND} times a second for
  {found["seconds"]:g} s by a process of its own, each at its time, and touches nothing but memory.
  The processor time is that of the same seconds, these requests included.
- Each line is a daemon of its own, measured once, when what so many new contacts bring is done
  (Whapi is asked for the other id of each), or after {SETTLE_SECONDS} s. Longest it took
  {_longest_wait(found)}.
"""
