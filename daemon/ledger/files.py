"""Files beside the store: those that go out with messages, and the bodies of large webhook calls.

A file is durable, with its name in the folder, before the row that names it is written.
"""

import hashlib
import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import trio

from daemon.ledger.drivers.port import Connection
from daemon.system.private_files import make_folder, new_file

VOICE_NAME = re.compile(r"voice_\d+_\d+\.(?:mp3|ogg)")
"""Names of voice notes: the time in milliseconds, and a number that cannot be guessed, since
``/audio`` serves a file to every client that has its name."""

RANDOM_BITS = 63
AUDIO_FOLDER = "audio"
"""The folder of voice notes and files of tools, in the data folder."""


class KeptFiles:
    """One folder of files. Any task may use it; the work is done in threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def keep_voice(self, data: bytes, ending: str, *, now: float, random: Random) -> str:
        """Write a voice note durably; gives its name. ``now``: Unix seconds. Raises OSError."""
        name = f"voice_{int(now * 1000)}_{random.getrandbits(RANDOM_BITS)}.{ending}"
        await trio.to_thread.run_sync(_write, self.folder, name, data)
        return name

    async def keep_text(self, words: str) -> str:
        """Write a text as a file, durably, under the name of its contents. Raises OSError."""
        data = words.encode()
        name = f"{hashlib.sha256(data).hexdigest()}.txt"
        await trio.to_thread.run_sync(_write, self.folder, name, data)
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
            _write(self.folder, name, data)
            return name, len(data)

        return await trio.to_thread.run_sync(copy)

    async def read(self, name: str) -> bytes | None:
        """The file of this name; None if there is none any more. Raises OSError."""

        def load() -> bytes | None:
            try:
                return (self.folder / name).read_bytes()
            except FileNotFoundError:
                return None

        return await trio.to_thread.run_sync(load)

    async def drop_old(self, *, before: float, in_use: Container[str]) -> int:
        """Delete what was written before a time (Unix seconds), but not what is in use."""
        return await trio.to_thread.run_sync(_drop_old, self.folder, before, in_use)


def delete_files(folder: Path, names: Container[str]) -> int:
    """Delete the files with these names; gives how many. Blocks."""
    doomed = [path for path in _files(folder) if path.name in names]
    for path in doomed:
        path.unlink(missing_ok=True)
    return len(doomed)


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


def _drop_old(folder: Path, before: float, in_use: Container[str]) -> int:
    dropped = 0
    for path in _files(folder):
        if path.name not in in_use and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
            dropped += 1
    return dropped


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


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
