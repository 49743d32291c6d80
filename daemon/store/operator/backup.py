"""Copying the store while the daemon runs: what `recado backup` does."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import StoreDamaged, StoreError


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied."""

    size: int
    """Bytes of the copied database."""
    files: int
    """Large events that lie in files beside the store."""
    media: int = 0
    """Files that people have sent, which lie beside the store and are not copied."""
    missing: int = 0
    """Of these, those that could not be copied because they are gone."""


def back_up(connection: sqlite3.Connection, target: Path) -> Backup:
    """Copy the whole store, as of one moment, into the file ``target``, which is replaced.

    The copy is written beside it under another name, checked, put on the disk, and only then
    renamed; it is one file, readable for its owner alone. The daemon's writes go on meanwhile.
    Raises StoreDamaged if the copy is not sound, StoreError if it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with _cleared(draft):
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            files, media = _copy(connection, draft)
            _sync(draft)
            size = draft.stat().st_size
            draft.replace(target)
            _sync(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    return Backup(size=size, files=files, media=media)


def _copy(connection: sqlite3.Connection, draft: Path) -> tuple[int, int]:
    """Fill the draft and check it; gives how many large events and sent files it refers to."""
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        connection.backup(copy)
        # Without a log beside it the copy is complete in itself.
        copy.execute("PRAGMA journal_mode = DELETE")
        faults = [row[0] for row in copy.execute("PRAGMA integrity_check(5)")]
        if faults != ["ok"]:
            raise StoreDamaged(f"the copy is not sound: {'; '.join(map(str, faults))}")
        media = copy.execute("SELECT COUNT(DISTINCT file) FROM media WHERE file != ''").fetchone()
        return len(event_files(copy)), int(media[0])


def event_files(connection: sqlite3.Connection) -> list[str]:
    """The names of the files in which large events lie."""
    rows = connection.execute(
        "SELECT DISTINCT body_file FROM events WHERE body_file != '' ORDER BY body_file"
    )
    return [str(row[0]) for row in rows]


def back_up_files(target: Path, source: Path) -> Backup:
    """Copy the large events that the copied store ``target`` refers to into ``target.events``.

    ``source`` is the folder they lie in. A folder of that name is replaced. Files that retention
    has deleted meanwhile are counted as missing. Raises StoreError if it cannot be written.
    """
    folder = target.with_name(f"{target.name}.events")
    draft = target.with_name(f".{target.name}.events.{os.urandom(4).hex()}")
    with contextlib.closing(sqlite3.connect(target)) as copy:
        names = event_files(copy)
    missing = 0
    try:
        with _cleared(draft):
            draft.mkdir(mode=0o700)
            for name in names:
                try:
                    shutil.copyfile(source / name, draft / name)
                except FileNotFoundError:
                    missing += 1
                    continue
                (draft / name).chmod(0o600)
                _sync(draft / name)
            _sync(draft)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
            _sync(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}") from error
    return Backup(size=target.stat().st_size, files=len(names) - missing, missing=missing)


@contextlib.contextmanager
def _cleared(draft: Path) -> Iterator[None]:
    """Leave nothing behind of a copy that was not finished."""
    try:
        yield
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        for path in (draft, draft.with_name(f"{draft.name}-journal")):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Put a file, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
