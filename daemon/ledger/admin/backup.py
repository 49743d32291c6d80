"""Copying the store while the daemon runs: what `recado backup` does."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.domain.progress import Progress, unwatched
from daemon.errors import StoreDamaged, StoreError
from daemon.ledger.outbox import OPEN_ROWS

_WITH_FILE = "json_extract(payload, '$.file') IS NOT NULL"
_OPEN = f"{OPEN_ROWS}"

PAGES, CHECK_STEPS = 500, 1_000_000
"""Pages that are copied, and steps of SQLite's check, between two reports of the progress. The
pages are put on the disk then: else a webhook's flush would wait for all that a copy has piled up.
"""


@dataclass(frozen=True, slots=True)
class Backup:
    """The copied store and files."""

    size: int
    """Bytes of the copied database."""
    files: int
    """Large events in files beside the store."""
    media: int
    """Files that people have sent, which are beside the store and not copied."""
    sent: int
    """Voice notes and files of the outbox that are still to be sent, which are there too."""


@dataclass(frozen=True, slots=True)
class Files:
    """The copied files of one folder."""

    copied: int
    missing: int
    """Those that could not be copied because they are gone."""


def back_up(connection: sqlite3.Connection, target: Path, progress: Progress = unwatched) -> Backup:
    """Copy the whole store, as of one moment, into the file ``target``, which is replaced.

    The copy is written beside it under another name, checked, put on the disk, and only then
    renamed; it is one file, readable for its owner alone. The daemon's writes go on meanwhile.
    ``progress`` gets pages.
    Raises StoreDamaged if the copy is not sound, StoreError if it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with _cleared(draft):
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            files, media, sent = _copy(connection, draft, progress)
            _sync(draft)
            size = draft.stat().st_size
            draft.replace(target)
            _sync(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    return Backup(size=size, files=files, media=media, sent=sent)


def _copy(connection: sqlite3.Connection, draft: Path, progress: Progress) -> tuple[int, int, int]:
    """Fill the draft and check it; gives how many files it refers to.

    Large events, files that people have sent, and files that are still to be sent.
    """
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        with _one_moment(connection), draft.open("rb") as file:

            def copied(_status: int, left: int, total: int) -> None:
                os.fdatasync(file.fileno())
                progress(total - left, total, "copying")

            connection.backup(copy, pages=PAGES, progress=copied)
        pages = int(copy.execute("PRAGMA page_count").fetchone()[0])
        copy.set_progress_handler(lambda: progress(pages, pages, "checking"), CHECK_STEPS)
        # Without a log beside it the copy is complete in itself.
        copy.execute("PRAGMA journal_mode = DELETE")
        # The process that runs now has not crashed: a daemon on the copy has no predecessor.
        copy.execute("DELETE FROM process_lives")
        faults = [row[0] for row in copy.execute("PRAGMA integrity_check(5)")]
        if faults != ["ok"]:
            raise StoreDamaged(f"the copy is not sound: {'; '.join(map(str, faults))}")
        media = copy.execute("SELECT COUNT(DISTINCT file) FROM media WHERE file != ''").fetchone()
        waiting = sent_files(copy, where=f"{_WITH_FILE} AND {_OPEN}")
        return len(event_files(copy)), int(media[0]), len(waiting)


@contextlib.contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep what the connection sees: a copy in steps would begin again after each foreign write."""
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def event_files(connection: sqlite3.Connection) -> list[str]:
    """The names of the files in which large events lie."""
    rows = connection.execute(
        "SELECT DISTINCT body_file FROM events WHERE body_file != '' ORDER BY body_file"
    )
    return [str(row[0]) for row in rows]


def sent_files(connection: sqlite3.Connection, *, where: str = _WITH_FILE) -> list[str]:
    """The names of the files that messages of ours have; ``where``: constants of this module."""
    rows = connection.execute(
        "SELECT DISTINCT json_extract(payload, '$.file') AS name FROM outbox"
        f" WHERE {where} ORDER BY name"
    )
    return [str(row[0]) for row in rows]


def back_up_events(target: Path, source: Path, progress: Progress = unwatched) -> Files:
    """Copy the large events that the copied store ``target`` refers to into ``target.events``.

    ``source`` is the folder they lie in. A folder of that name is replaced. Files that retention
    has deleted meanwhile are counted as missing. Raises StoreError if it cannot be written.
    """
    with contextlib.closing(sqlite3.connect(target)) as copy:
        names = event_files(copy)
    folder = target.with_name(f"{target.name}.events")
    return _copy_files(folder, source, names, needed=set(names), progress=progress)


def back_up_sent(target: Path, source: Path, progress: Progress = unwatched) -> Files:
    """Copy the voice notes and files of the outbox likewise, into ``target.audio``.

    Those of messages that were sent may be gone; only what is still to be sent can be missing.
    """
    with contextlib.closing(sqlite3.connect(target)) as copy:
        names = sent_files(copy)
        needed = set(sent_files(copy, where=f"{_WITH_FILE} AND {_OPEN}"))
    folder = target.with_name(f"{target.name}.audio")
    return _copy_files(folder, source, names, needed=needed, progress=progress)


def _copy_files(
    folder: Path, source: Path, names: Sequence[str], *, needed: set[str], progress: Progress
) -> Files:
    draft = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}")
    copied = missing = 0
    try:
        with _cleared(draft):
            draft.mkdir(mode=0o700)
            for done, name in enumerate(names):
                progress(done, len(names), name)
                if not _copied(source / name, draft / name):
                    missing += name in needed
                    continue
                (draft / name).chmod(0o600)
                _sync(draft / name)
                copied += 1
            progress(len(names), len(names), "")
            _sync(draft)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
            _sync(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}") from error
    return Files(copied=copied, missing=missing)


def back_up_key(target: Path, source: Path) -> bool:
    """Copy the key of contacts' hashes into ``target.key``; False if there is none yet.

    Without it a restored daemon no longer knows who has opted out before being forgotten. Raises
    StoreError if it cannot be written.
    """
    key = target.with_name(f"{target.name}.key")
    draft = key.with_name(f".{key.name}.{os.urandom(4).hex()}")
    try:
        with _cleared(draft):
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if not _copied(source, draft):
                return False
            _sync(draft)
            draft.replace(key)
            _sync(key.parent)
    except OSError as error:
        raise StoreError(f"cannot write {key}: {error.strerror}") from error
    return True


def _copied(source: Path, target: Path) -> bool:
    """Copy one file; False if it is gone, or a link.

    The daemon writes no links there. Root runs the command, and must not follow a link of somebody
    who may write into the daemon's folder.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            return False
        raise
    with os.fdopen(descriptor, "rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing)
    return True


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
