"""The memory that this process may take: the limit that systemd or a container has set.

cgroups(7): ``/proc/self/cgroup`` names the group, whose files are below ``/sys/fs/cgroup``. A
container sees its own group as the root of that folder, whatever the name says. All groups above
limit as well; the tightest one counts. Version 2 and version 1 (``memory`` hierarchy) are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

UNLIMITED = 2**60
"""Version 1 writes a number near 2^63 where there is no limit."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The tightest limit of memory, and whose it is."""

    limit_bytes: int
    group: Path
    version: int

    def used_bytes(self) -> int:
        """Memory of all processes of the group that cannot be taken back; 0 if it is not told.

        Files that were read and are not in use are not counted, as the kernel drops those first.
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
    """The tightest limit of memory of this process, or None if there is none. Blocks shortly."""
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
    """A group's folder and all above it up to the root, as far as they can be seen from here."""
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
