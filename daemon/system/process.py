"""The process: its memory and the limit of it, its modules, certificates and boot clock.

The limit is one that systemd or a container has set (cgroups(7)): ``/proc/self/cgroup`` names the
group, whose files are below ``/sys/fs/cgroup``. A container sees its own group as the root of that
folder, whatever the name says. The groups above have limits too; the lowest one counts. Version 2
and version 1 (``memory`` hierarchy) are read.
"""

import importlib
import linecache
import os
import ssl
import sys
import time
import tracemalloc
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import httpx

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MOST_LINES = 25
"""Of a report: those that have grown most."""


def resident_bytes() -> int:
    """Memory of this process in RAM (proc(5)); 0 on systems without that file."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def machine_bytes() -> int:
    """Memory of this machine; 0 if the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
    except (OSError, ValueError):
        return 0


class MemoryTrace:
    """The places that allocate memory, from `begin` on. One at a time; it slows the process."""

    def __init__(self) -> None:
        self._first: tracemalloc.Snapshot | None = None

    def begin(self) -> None:
        """Trace allocations from now on; does nothing if they are traced already."""
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
        """Stop tracing, and free its memory."""
        tracemalloc.stop()
        self._first = None


# -- importing an operator's modules again ---------------------------------------------------------


@contextmanager
def imported_again(names: Collection[str]) -> Iterator[None]:
    """Let the block import these modules, and those inside them, as if for the first time.

    If it raises, the old modules are restored. Functions of the old modules keep their globals.
    Other modules that these import are not imported again. For one thread at a time.
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
    """Restore an old submodule in its package, where a successful import has replaced it."""
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


# -- certificates ----------------------------------------------------------------------------------


@cache
def authorities() -> ssl.SSLContext:
    """Return the TLS context with the trusted authorities; any thread may call it.

    Reading the bundle takes 50 to 100 ms for each client, so all share one context and leave it
    unchanged. ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` of the environment count.
    """
    return httpx.create_ssl_context()


# -- the boot clock --------------------------------------------------------------------------------


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


boot_seconds: Callable[[], float] = partial(time.clock_gettime, _CLOCK)
"""Seconds since the machine started, including its sleep and stops of this process.

Linux's ``CLOCK_BOOTTIME`` (clock_gettime(2)). Elsewhere the monotonic clock, which may stop while
the machine sleeps. Callable from any thread.
"""


# -- the limit of memory ---------------------------------------------------------------------------


FILES = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

UNLIMITED = 2**60
"""Version 1 writes a number near 2^63 where there is no limit."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The lowest limit of memory, and the group that has it."""

    limit_bytes: int
    group: Path
    version: int

    def used_bytes(self) -> int:
        """Memory of all processes of the group that cannot be reclaimed; 0 if not known.

        Cached files that are not in use do not count, as the kernel drops those first.
        """
        names = ("memory.current", "inactive_file")
        if self.version == 1:
            names = ("memory.usage_in_bytes", "total_inactive_file")
        used = _number(self.group / names[0]) or 0
        try:
            lines = (self.group / "memory.stat").read_text().splitlines()
        except OSError:
            return used
        kept = next((line.split()[1] for line in lines if line.split()[:1] == [names[1]]), "0")
        return max(0, used - int(kept))


def memory_limit(*, files: Path = FILES, own_groups: Path = OWN_GROUPS) -> MemoryLimit | None:
    """The lowest limit of memory of this process, or None if there is none. Blocks shortly."""
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(files, line)]
    return min(limits, key=lambda limit: limit.limit_bytes, default=None)


def _limits(files: Path, line: str) -> Iterator[MemoryLimit]:
    """The limits of one line, such as ``0::/system.slice/recado.service`` or ``4:memory:/x``."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if not controllers:
        # MemoryHigh= slows a process down long before MemoryMax= ends it.
        root, version, names = files, 2, ["memory.max", "memory.high"]
    elif "memory" in controllers.split(","):
        root, version, names = files / "memory", 1, ["memory.limit_in_bytes"]
    else:
        return
    for group in _upwards(root, path):
        for name in names:
            limit = _number(group / name)
            if limit is not None and limit < UNLIMITED:
                yield MemoryLimit(limit, group, version)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """A group's folder and all above it up to the root, as far as they are visible."""
    group = root / path.strip("/")
    while group != root and root in group.parents:
        yield group
        group = group.parent
    yield root


def _number(path: Path) -> int | None:
    """The number in a file; None if there is none (``max``), or no such file."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
