"""The memory of this process: how much it is, and on demand where it was allocated."""

import importlib
import linecache
import os
import ssl
import sys
import tracemalloc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import httpx

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


# Importing modules of the operator anew, without losing the old ones if that fails.


@contextmanager
def imported_anew(names: Collection[str]) -> Iterator[None]:
    """Let the block import these modules, and those inside them, as if for the first time.

    If it raises, the old ones are found under their names again. Functions of the old ones go on
    with the globals that they have. Other modules which these import are not read again. For one
    thread at a time.
    """
    importlib.invalidate_caches()
    before = {name: sys.modules.pop(name) for name in _loaded(names)}
    try:
        yield
    except BaseException:
        for name in _loaded(names):
            del sys.modules[name]
        sys.modules.update(before)
        for name, module in before.items():
            _hang_in_parent(name, module)
        raise


def _loaded(names: Collection[str]) -> list[str]:
    insides = tuple(f"{name}." for name in names)
    return [name for name in sys.modules if name in names or name.startswith(insides)]


def _hang_in_parent(name: str, module: ModuleType) -> None:
    """Give a package its old part back, which an import that ended well has replaced."""
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


# Whom we believe on the internet: the certificates of the authorities, read once a process.


@cache
def authorities() -> ssl.SSLContext:
    """Give what checks the other side of a TLS connection; any thread may call it.

    Reading the bundle takes 50 to 100 ms, which every client would spend anew. Nobody changes the
    context, so all share it. ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` of the environment count.
    """
    return httpx.create_ssl_context()
