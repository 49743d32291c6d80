"""Whether a store's file is sound: checked before it is opened, or while it is used if it is large.

SQLite reads the whole file for the check. Damage that is found while the daemon works ends it, and
is noted beside the file: the next start checks first, and does not begin with a damaged store.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from daemon.errors import StoreDamaged

CHECKED_FIRST_BYTES = 64 * 1024 * 1024
"""A file up to this size is looked at before it is opened: that takes a third of a second."""

LATER_SECONDS = 10.0
"""A larger one is looked at so long after it was opened, when the start is over."""

MOST_FAULTS = 5


def faults_in(connection: sqlite3.Connection) -> str:
    """What is wrong with the file of a connection; empty if nothing is. Blocks."""
    rows = connection.execute(f"PRAGMA quick_check({MOST_FAULTS})").fetchall()
    found = [str(row[0]) for row in rows]
    return "" if found == ["ok"] else "; ".join(found)


def check_first(connection: sqlite3.Connection, path: Path) -> None:
    """Look at the file now if it is small, or was found to be damaged. Raises StoreDamaged."""
    if path.stat().st_size > CHECKED_FIRST_BYTES and not _note_of(path).exists():
        return
    if faults := faults_in(connection):
        raise StoreDamaged(f"the store {path} is damaged: {faults}")
    _note_of(path).unlink(missing_ok=True)


class LateCheck:
    """Looks at a large file in a thread, beside all work. Its owner calls `end`."""

    def __init__(
        self, path: Path, connect: Callable[[], sqlite3.Connection], found: Callable[[str], None]
    ) -> None:
        """``connect`` opens a connection to read with. ``found`` gets faults, in the thread."""
        self._path = path
        self._found = found
        self._ended = threading.Event()
        self._connection: sqlite3.Connection | None = None
        if path.stat().st_size > CHECKED_FIRST_BYTES:
            self._connection = connect()
            self._thread = threading.Thread(
                target=self._run, args=[self._connection], name="store check", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """Break it off. Blocks until the thread has ended. Idempotent."""
        self._ended.set()
        if self._connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed before
                self._connection.interrupt()
            self._thread.join()
            self._connection.close()

    def _run(self, connection: sqlite3.Connection) -> None:
        if self._ended.wait(LATER_SECONDS):
            return
        try:
            faults = faults_in(connection)
        except sqlite3.OperationalError:
            return  # broken off, or the disk failed, which the writer finds out
        except sqlite3.DatabaseError as error:
            faults = str(error)
        if faults:
            _note_of(self._path).touch(mode=0o600)
            self._found(faults)


def _note_of(path: Path) -> Path:
    return path.with_suffix(".damaged")
