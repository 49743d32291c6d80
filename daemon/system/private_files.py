"""Files and folders that are their owner's alone, whatever the umask and the folder's owner.

Everything here blocks for as long as the disk takes; callers on the event loop use a thread.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing; one that is there is left as it is.

    Raises OSError.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    folder.chmod(FOLDER_MODE)  # the umask may have taken of it


def new_file(path: Path) -> BinaryIO:
    """Make a file and open it for writing. Raises OSError, FileExistsError if it is there."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return os.fdopen(descriptor, "wb")


def tighten(paths: Iterable[Path]) -> int:
    """Take away what others than the owner may do with files and folders; gives of how many.

    Links, what is gone, and files of other users are left as they are.
    """
    return sum(_tightened(path) for path in paths)


def _tightened(path: Path) -> bool:
    try:
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            mode = FOLDER_MODE
        elif stat.S_ISREG(found.st_mode):
            mode = FILE_MODE
        else:
            return False
        if stat.S_IMODE(found.st_mode) == mode:
            return False
        path.chmod(mode)
    except OSError:
        return False
    return True


def files_in(folder: Path) -> Iterator[Path]:
    """The entries of a folder; none if it cannot be listed."""
    try:
        yield from folder.iterdir()
    except OSError:
        return
