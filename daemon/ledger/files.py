"""Files beside the store: those that go out with messages, and the bodies of large webhook calls.

A file is durable, for all nodes, before the row that names it is written. The write that gives it
up (`discard`) deletes it on this machine's disk, and leaves a row in ``deleted_files`` until it is
deleted for all nodes.
"""

import hashlib
import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import trio

from daemon.domain.records import MEDIA_FOLDER
from daemon.files.port import FileStore
from daemon.ledger.drivers.port import Connection, Role, query, transaction, writing
from daemon.system.private_files import make_folder, new_file

RANDOM_BITS = 63
"""Of the name of a voice note: ``/audio`` serves a file to every client that has its name."""

LONGEST_ENDING = 8
AUDIO_FOLDER = "audio"
"""The folder of voice notes and files of tools, in the data folder."""


class KeptFiles:
    """The files that go out. Any task may use it; the work is done in threads.

    Methods raise OSError, FilesUnavailable among them.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files

    @property
    def _folder(self) -> Path:
        return self._files.path(AUDIO_FOLDER, "")

    async def keep_voice(self, data: bytes, ending: str, *, now: float, random: Random) -> str:
        """Write a voice note durably; gives its name. ``now``: Unix seconds. Raises OSError."""
        name = f"voice_{int(now * 1000)}_{random.getrandbits(RANDOM_BITS)}.{ending}"
        await self._keep(name, data)
        return name

    async def keep_text(self, words: str) -> str:
        """Write a text as a file, durably, under the name of its contents. Raises OSError."""
        data = words.encode()
        name = f"{hashlib.sha256(data).hexdigest()}.txt"
        await self._keep(name, data)
        return name

    async def keep_bytes(self, data: bytes, ending: str) -> str:
        """Write a file durably under the name of its contents. ``ending``: letters and digits."""
        name = hashlib.sha256(data).hexdigest()
        if ending.isascii() and ending.isalnum() and len(ending) <= LONGEST_ENDING:
            name = f"{name}.{ending}"
        await self._keep(name, data)
        return name

    async def keep_copy(self, source: Path, *, most: int) -> tuple[str, int]:
        """Keep a copy of a file under the name of its contents; gives name and size in bytes.

        Raises ValueError if it has more than ``most`` bytes or none, OSError if it cannot be read.
        """

        def copy() -> tuple[str, int]:
            size = source.stat().st_size
            if not 0 < size <= most:
                raise ValueError(f"a file has 1 to {most} bytes")
            data = source.read_bytes()
            name = hashlib.sha256(data).hexdigest() + source.suffix.lower()
            _write(self._folder, name, data)
            return name, len(data)

        name, size = await trio.to_thread.run_sync(copy)
        await self._files.share(AUDIO_FOLDER, name)
        return name, size

    async def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return await self._files.fetch(AUDIO_FOLDER, name)

    async def read(self, name: str) -> bytes | None:
        """The file of this name; None if there is none any more. Raises OSError."""
        if not await self._files.fetch(AUDIO_FOLDER, name):
            return None

        def load() -> bytes | None:
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

        return await trio.to_thread.run_sync(load)

    async def drop_old(self, *, before: float, in_use: Container[str]) -> int:
        """Delete what was written before a time (Unix seconds), but not what is in use."""
        old = await self._files.old(AUDIO_FOLDER, before=before)
        dropped = [name for name in old if name not in in_use]
        await self._files.delete(AUDIO_FOLDER, dropped)
        return len(dropped)

    async def _keep(self, name: str, data: bytes) -> None:
        await trio.to_thread.run_sync(_write, self._folder, name, data)
        await self._files.share(AUDIO_FOLDER, name)


SWEPT = 200
"""Files in one look at what is to be deleted."""


def files_to_delete(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Folder and name of files that are to be deleted for all nodes, one batch of them.

    Those that have come again meanwhile, in another message, are given up on. Inside the caller's
    transaction.
    """
    connection.execute(
        "DELETE FROM deleted_files WHERE gone_at IS NULL AND folder = ? AND (EXISTS"
        " (SELECT 1 FROM media m WHERE m.file = deleted_files.name AND m.file != '') OR EXISTS"
        " (SELECT 1 FROM media m WHERE m.preview = deleted_files.name AND m.preview != ''))",
        (MEDIA_FOLDER,),
    )
    rows = connection.execute(
        "SELECT folder, name FROM deleted_files WHERE gone_at IS NULL"
        " ORDER BY folder, name LIMIT ?",
        (SWEPT,),
    )
    return tuple((folder, name) for folder, name in rows)


class DeletedFiles(Role):
    """The files that the ledger has given up. Used by housekeeping, on every node."""

    pending = writing(files_to_delete)

    @transaction
    def gone(self, connection: Connection, files: Sequence[tuple[str, str]], *, now: float) -> None:
        """Note that files are deleted for all nodes."""
        connection.executemany(
            "UPDATE deleted_files SET gone_at = ? WHERE folder = ? AND name = ?",
            [(now, *file) for file in files],
        )

    @query
    def recent(self, connection: Connection) -> tuple[tuple[str, str], ...]:
        """Folder and name of files of which another node may have a copy on its disk."""
        rows = connection.execute("SELECT folder, name FROM deleted_files")
        return tuple((folder, name) for folder, name in rows)

    @transaction
    def forget(self, connection: Connection, *, before: float) -> None:
        """Drop the rows of files that have been gone since before a time, Unix seconds."""
        connection.execute("DELETE FROM deleted_files WHERE gone_at < ?", (before,))


def forget_deleted(connection: Connection, files: Sequence[tuple[str, str]]) -> None:
    """Drop the rows of files that are deleted, inside the caller's transaction."""
    connection.executemany("DELETE FROM deleted_files WHERE folder = ? AND name = ?", files)


def discard(connection: Connection, folder: Path, name: str) -> None:
    """Delete a file, inside the caller's transaction: on this disk, and then for all nodes.

    ``folder``: in the data directory. Raises OSError if the disk refuses it.
    """
    (folder / name).unlink(missing_ok=True)
    connection.execute(
        "INSERT INTO deleted_files (folder, name) VALUES (?, ?)"
        " ON CONFLICT (folder, name) DO UPDATE SET gone_at = NULL",
        (folder.name, name),
    )


def _write(folder: Path, name: str, data: bytes) -> None:
    """Write a whole file or none: it gets its name once its bytes are durable.

    Nothing is overwritten: a file of the same name has the same contents, or a random number has
    come twice.
    """
    make_folder(folder)
    target = folder / name
    if target.exists():
        os.utime(target)  # retention counts from the last use
        return
    beginning = folder / f".{name}.{os.urandom(4).hex()}"
    with new_file(beginning) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beginning.rename(target)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


BATCH = 200
"""Events in one write: a few milliseconds, so that no webhook waits for it."""

BODY_BYTES = 500_000
"""Of raw bodies erased in one write, without the last: erasing overwrites and logs their pages."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The rows and files dropped by one batch."""

    events: int
    files: int
    """Of these events, those whose body lay in a file."""
    more: bool
    """True if there may be further ones."""


def expire(connection: Connection, *, before: float, folder: Path) -> Expired:
    """Drop the raw bodies of the oldest events from before a time, one batch of them.

    Bodies with words that were to disappear go whatever their age. The rows stay, without a body,
    and so does everything read from them. ``before``: Unix seconds; ``folder``: that of the files
    of large events. Inside the caller's transaction, a file is deleted before its row says so, so
    that no file is left without a row; a file that cannot be deleted keeps its row, and one that a
    newer event shares stays.
    """
    rows, more_old = _first(
        connection,
        "received_at < ? AND (body IS NOT NULL OR body_file != '') ORDER BY received_at",
        (before,),
    )
    doomed, more_doomed = _first(connection, "doomed = 1")
    files = 0
    dropped: list[tuple[int]] = []
    for event_id, file in (*rows, *doomed):
        if file and ((event_id, file) in doomed or not _is_shared(connection, file, before)):
            try:
                (folder / file).unlink(missing_ok=True)
            except OSError:
                continue
        files += bool(file)
        dropped.append((event_id,))
    connection.executemany(
        "UPDATE events SET body = NULL, body_file = '', doomed = 0 WHERE id = ?", dropped
    )
    # A batch that achieved nothing is not repeated at once.
    more = bool(dropped) and (more_old or more_doomed)
    return Expired(events=len(dropped), files=files, more=more)


def _first(
    connection: Connection, which: str, values: Sequence[object] = ()
) -> tuple[list[tuple[int, str]], bool]:
    """Id and file of the first events of a kind, one batch; True if there may be more."""
    found: list[tuple[int, str]] = []
    room = BODY_BYTES
    rows = connection.execute(
        f"SELECT id, body_file, LENGTH(body) FROM events WHERE {which} LIMIT ?",
        (*values, BATCH),
    ).fetchall()
    for event_id, file, size in rows:
        found.append((event_id, file))
        room -= size or 0
        if room <= 0:
            break
    return found, room <= 0 or len(rows) == BATCH


def _is_shared(connection: Connection, file: str, before: float) -> bool:
    row = connection.execute(
        "SELECT 1 FROM events WHERE body_file = ? AND body_file != '' AND received_at >= ? LIMIT 1",
        (file, before),
    ).fetchone()
    return row is not None
