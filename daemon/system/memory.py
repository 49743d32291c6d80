"""The memory of this process: how much it is, and on demand where it was allocated."""

import linecache
import os
import tracemalloc
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MOST_LINES = 25
"""Of a report: what has grown most."""


def resident_bytes() -> int:
    """Memory of this process that is in RAM, as proc(5) says; 0 where there is no such file."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def machine_bytes() -> int:
    """Memory of this machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    except (OSError, ValueError):
        return 0


class MemoryTrace:
    """Where memory is allocated, from `begin` on. One at a time; it makes the process slower."""

    def __init__(self) -> None:
        self._first: tracemalloc.Snapshot | None = None

    def begin(self) -> None:
        """Watch allocations from now on; does nothing if that is being done."""
        if self._first is None:
            tracemalloc.start()
            self._first = tracemalloc.take_snapshot()

    def grown(self) -> list[dict[str, object]]:
        """The lines of code that have allocated most since `begin`; empty before it.

        Blocks the whole process for up to a second or two.
        """
        if self._first is None:
            return []
        found = tracemalloc.take_snapshot().compare_to(self._first, "lineno")
        report: list[dict[str, object]] = []
        for difference in found[:MOST_LINES]:
            frame = difference.traceback[0]
            line = linecache.getline(frame.filename, frame.lineno).strip()
            report.append(
                {
                    "bytes": difference.size_diff,
                    "blocks": difference.count_diff,
                    "where": f"{Path(frame.filename).name}:{frame.lineno}",
                    "line": line,
                }
            )
        return report

    def end(self) -> None:
        """Watch no more, and free what that took."""
        tracemalloc.stop()
        self._first = None
