"""The files of one machine: folders in the data directory."""

from collections.abc import Sequence
from pathlib import Path

import trio


class LocalFiles:
    """Implements `daemon.files.port.FileStore`: what is written is where it belongs."""

    is_shared = False

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def path(self, folder: str, name: str) -> Path:
        """See the port."""
        return self._data_dir / folder / name

    async def share(self, folder: str, name: str) -> None:
        """See the port."""

    async def fetch(self, folder: str, name: str) -> bool:
        """See the port."""
        return await trio.Path(self.path(folder, name)).is_file()

    async def delete(self, folder: str, names: Sequence[str]) -> None:
        """See the port."""
        await trio.to_thread.run_sync(unlink_all, [self.path(folder, name) for name in names])

    async def old(self, folder: str, *, before: float) -> list[str]:
        """See the port."""
        return await trio.to_thread.run_sync(older_files, self._data_dir / folder, before)

    async def drop_copies(self, *, before: float) -> int:  # noqa: ARG002 - there are no copies
        """See the port."""
        return 0

    async def check(self) -> list[str]:
        """See the port. The data directory is checked with the store."""
        return []


def unlink_all(paths: Sequence[Path]) -> None:
    """Delete files; one that is gone is no error. Blocks."""
    for path in paths:
        path.unlink(missing_ok=True)


def older_files(folder: Path, before: float) -> list[str]:
    """The files in a folder that were written before a time, Unix seconds. Blocks."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.is_file() and path.stat().st_mtime < before:
                found.append(path.name)
        except FileNotFoundError:
            continue  # somebody else was faster
    return found
