"""The limit of memory as cgroups of both versions tell it."""

from pathlib import Path

import pytest

from daemon.system.process import MemoryLimit, memory_limit

MB = 1024 * 1024


class Groups:
    """A folder like ``/sys/fs/cgroup``, and a file like ``/proc/self/cgroup``."""

    def __init__(self, folder: Path) -> None:
        self.files, self.own = folder / "cgroup", folder / "own"
        self.files.mkdir()

    def group(self, path: str, **values: str) -> None:
        """Lay a group out; dots of file names are written as two underscores."""
        folder = self.files / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (folder / name.replace("__", ".")).write_text(f"{value}\n")

    def found(self, *lines: str) -> MemoryLimit | None:
        self.own.write_text("".join(f"{line}\n" for line in lines))
        return memory_limit(files=self.files, own_groups=self.own)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


STAT = "anon 1\ninactive_file 1048576\nactive_file 7"


def test_a_unit_of_systemd(groups: Groups) -> None:
    """The tightest of its own limits and of those above it; what can be dropped is not counted."""
    groups.group("", memory__stat=STAT)
    groups.group("system.slice", memory__max="max", memory__high="max")
    unit = {"memory__max": f"{1024 * MB}", "memory__high": f"{768 * MB}"}
    current = {"memory__current": f"{300 * MB}", "memory__stat": STAT}
    groups.group("system.slice/recado.service", **unit, **current)
    limit = groups.found("0::/system.slice/recado.service")
    assert limit is not None
    assert (limit.limit_bytes, limit.used_bytes()) == (768 * MB, 299 * MB)
    groups.group("system.slice", memory__max=f"{512 * MB}", memory__current=f"{400 * MB}")
    limit = groups.found("0::/system.slice/recado.service")
    assert limit is not None
    assert (limit.limit_bytes, limit.used_bytes()) == (512 * MB, 400 * MB)


def test_a_container_sees_its_own_group_as_the_root(groups: Groups) -> None:
    values = {"memory__max": f"{256 * MB}", "memory__current": f"{10 * MB}"}
    groups.group("", **values, memory__stat=STAT)
    for line in ("0::/", "0::/docker/0123456789abcdef", "0::/../../outside"):
        limit = groups.found(line)
        assert limit is not None
        assert (limit.limit_bytes, limit.used_bytes()) == (256 * MB, 9 * MB)


def test_version_one(groups: Groups) -> None:
    group = {"memory__limit_in_bytes": f"{300 * MB}", "memory__usage_in_bytes": f"{200 * MB}"}
    groups.group("memory", memory__limit_in_bytes="9223372036854771712")
    groups.group("memory/docker/x", **group, memory__stat="cache 1\ntotal_inactive_file 1048576")
    lines = ("9:name=systemd:/", "4:cpuset:/docker/x", "3:memory:/docker/x", "0::/")
    limit = groups.found(*lines)
    assert limit is not None
    assert (limit.limit_bytes, limit.used_bytes()) == (300 * MB, 199 * MB)


def test_without_a_limit_there_is_none(groups: Groups) -> None:
    groups.group("memory", memory__limit_in_bytes="9223372036854771712")
    groups.group("", memory__max="max")
    assert groups.found("3:memory:/", "0::/", "nonsense", "") is None
    assert memory_limit(files=groups.files, own_groups=groups.files / "nowhere") is None


def test_a_removed_cgroup_uses_no_memory(tmp_path: Path) -> None:
    assert MemoryLimit(1, tmp_path / "gone", 2).used_bytes() == 0
