"""What a very large webhook call does to the small ones beside it, and to the memory."""

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from figures import mb, middle, ms, percentile, spread_of, table
from subject import Outside, Recado, outside_world, recado

SIZES = (1, 20, 49.9)
"""Megabytes of a call; the limit is 50 (``web.max_body_mb``)."""
PROBES_A_SECOND = 100
GOAL_SECONDS = 0.1

Found = dict[str, Any]


def measure(*, quick: bool, folder: Path) -> Found:
    """Post one large call of each size in every round, each to a daemon that is idle else."""
    rounds = 1 if quick else 3
    settings = {"RECADO_BUFFER__WINDOW_SECONDS": "600", "RECADO_BUFFER__MAX_WAIT_SECONDS": "600"}
    with (
        outside_world() as outside,
        outside_world() as prober,
        recado(folder / "bodies", outside, settings) as subject,
        ThreadPoolExecutor(1) as beside,
    ):
        prober("target", port=subject.port)
        prober("probe", path="/hook", seconds=1, rate=PROBES_A_SECOND)
        cells = [
            _cell(outside, prober, subject, beside, size)
            for _ in range(rounds)
            for size in (0, *SIZES)
        ]
    return {"cells": cells, "rounds": rounds}


def _cell(
    outside: Outside, prober: Outside, subject: Recado, beside: Executor, size: float
) -> Found:
    subject.forget_peak()
    before = subject.memory()
    small = {"path": "/hook", "seconds": 1 + size / 40, "rate": PROBES_A_SECOND}
    probing = beside.submit(partial(prober, "probe", **small))
    seconds = 0.0
    if size:
        found = outside("large", megabytes=size)
        seconds = found["seconds"]
        if found["refused"]:
            raise RuntimeError(f"a call of {size} MB was not answered with 200")
    delays = probing.result()["delays"]
    peak = subject.peak_memory()
    return {
        "megabytes": size,
        "seconds": seconds,
        "delays": delays,
        "before": before,
        "peak": peak,
    }


def worst_delay(found: Found, size: float = max(SIZES)) -> float:
    """The longest that a small call waited beside a large one: the median over the rounds."""
    return middle(max(cell["delays"]) for cell in _cells(found, size))


def text(found: Found) -> str:
    """The section of the page."""
    rows = []
    for size in (0, *SIZES):
        cells = _cells(found, size)
        worst = [max(cell["delays"]) * 1000 for cell in cells]
        every = [delay for cell in cells for delay in cell["delays"]]
        rows.append(
            [
                f"{size:.0f} MB" if size else "nothing",
                f"{middle(cell['seconds'] for cell in cells):.2f}" if size else "",
                ms(percentile(every, 0.5)),
                spread_of(worst, ".0f"),
                mb(middle(cell["peak"] for cell in cells)) if size else "",
                mb(middle(cell["peak"] - cell["before"] for cell in cells)) if size else "",
            ]
        )
    heads = [
        *("large call", "its 200 after s", "small ones: p50 ms", "longest ms"),
        *("peak RSS MB", "above before MB"),
    ]
    return f"""## Large bodies: their effect on concurrent calls

One call holds a picture as base64, as Whapi sends it if media are configured to be in the body.
The call is stored and its picture written to a file before its 200. Meanwhile {PROBES_A_SECOND}
normal calls a second are posted on other connections.

{table(heads, rows)}

The goal: no small call waits longer than {GOAL_SECONDS * 1000:.0f} ms beside the largest.

- A delay counts from when the small call was due. Two separate processes send the small and large
  calls; on a machine with two cores they share them with the daemon.
- *Longest* is the longest wait of a small call in a round: the median over {found["rounds"]}
  round(s),
  in brackets minimum and maximum. The peak is the kernel's `VmHWM`, reset before each call.
- `.venv/bin/python benchmarks/large_body.py` measures other shapes (a large preview, bytes under
  an unknown key, escaped slashes) in the event loop alone.
"""


def _cells(found: Found, size: float) -> list[Found]:
    return [cell for cell in found["cells"] if cell["megabytes"] == size]
