"""The folder of media files beside the store: a file is a draft until it is whole and known.

Everything here blocks for as long as the disk takes; callers on the event loop use a thread.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from daemon.domain.records import MEDIA_FOLDER
from daemon.errors import MediaDelayed, MediaRefused
from daemon.media.kinds import HEAD_BYTES, Kind, kind_of
from daemon.system.private_files import make_folder, new_file

FOLDER = MEDIA_FOLDER
"""Its name in the data directory."""

DRAFT_PREFIX = ".draft-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the folder: its name, which is its hash, what it is, and its bytes."""

    name: str
    mime: str
    size: int


class Draft:
    """A file that is being filled. Exactly one of `keep` and `discard` ends it."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        """``limit``: bytes it may have. Raises MediaDelayed if it cannot be written."""
        self.size = 0
        self._folder = folder
        self._limit = limit
        self._hash = hashlib.sha256()
        self._head = b""
        self._path = folder / f"{DRAFT_PREFIX}{os.urandom(8).hex()}"
        try:
            make_folder(folder)
            self._file = new_file(self._path)
        except OSError as error:
            raise _unwritable(error) from error

    def add(self, chunk: bytes) -> None:
        """Append bytes. Raises MediaRefused once there are too many, MediaDelayed at a fault."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise MediaRefused(f"it is larger than {self._limit} bytes")
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._hash.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _unwritable(error) from error

    def keep(self, *, medium: str, declared: str = "") -> StoredFile:
        """Give the file its name, once it is on the disk and known to be what its medium says.

        Raises MediaRefused if it is of another kind, MediaDelayed at a fault of the disk.
        """
        kind = kind_of(self._head, medium=medium, declared=declared)
        return self._named(kind)

    def _named(self, kind: Kind) -> StoredFile:
        name = f"{self._hash.hexdigest()}.{kind.extension}"
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._folder / name)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unwritable(error) from error
        return StoredFile(name, kind.mime, self.size)

    def keep_unseen(self, extension: str) -> StoredFile:
        """Give the file its name without a look at what it is; that comes later."""
        return self._named(Kind("", extension))

    def discard(self) -> None:
        """Remove what there is of it; does nothing after it was kept."""
        try:
            self._file.close()
            self._path.unlink(missing_ok=True)
        except OSError:
            return  # retention removes it later


def old_names(folder: Path, *, before: float) -> list[str]:
    """The files in the folder that were written before a time, Unix seconds. Raises OSError."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if path.stat().st_mtime < before]


def look_at(folder: Path, name: str, *, medium: str, declared: str) -> StoredFile:
    """Tell what a file is that lies in the folder already. Raises as `Draft.keep` does."""
    path = folder / name
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise MediaRefused(f"its file cannot be read: {error.strerror}") from error
    return StoredFile(name, kind_of(head, medium=medium, declared=declared).mime, size)


def _unwritable(error: OSError) -> MediaDelayed:
    return MediaDelayed(f"the file cannot be written: {error.strerror}")
