"""Checkpoints: the write-ahead log is copied into the store's file, beside the writes.

By itself SQLite does it in the COMMIT that finds more than 1000 pages in the log. After a long
read, such as a backup or the check of a large file, all that was written meanwhile waits for
it, and that COMMIT would hold every webhook for it. Here a thread does it, and leaves the
writer only the last few pages: the log begins anew once none is left at the beginning of a write.

In the COMMIT of that write SQLite cuts the log's file to its limit, which takes a tenth of a second
for half a gigabyte. So the limit follows the file down in steps.
"""

import contextlib
import sqlite3
import threading
from pathlib import Path

PAGES = 4000
"""In the log before a checkpoint, four times SQLite's number: with each, the writer has to wait for
the disk twice."""

PAGES_A_COMMIT, PAGES_A_WRITE = 8, 2
"""That are written, as estimated: about so many indexes are changed."""

LEFT_TO_WRITER = 200
"""Pages that the writer may copy itself: a few milliseconds."""

LOG_BYTES = 32 * 1024 * 1024
"""The log's file shrinks to this size after a burst, and by as much each time it begins anew."""


class Checkpointer:
    """The thread that makes checkpoints. The writer calls `committed`, its owner `end`."""

    def __init__(self, connection: sqlite3.Connection, log: Path) -> None:
        """``connection`` is used for nothing else, and closed at the end; ``log`` is its file."""
        self._connection = connection
        self._log = log
        self._turn = threading.Lock()
        """Held during a checkpoint of either connection: SQLite refuses the second one."""
        self._due = threading.Event()
        self._written = 0
        """Pages since the last checkpoint, as estimated."""
        self._is_nearly_done = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="store log", daemon=True)
        self._thread.start()

    def committed(self, writer: sqlite3.Connection, writes: int) -> None:
        """Note a COMMIT of so many writes; copies the last pages if few are left."""
        self._written += PAGES_A_COMMIT + PAGES_A_WRITE * writes
        if self._is_nearly_done and self._turn.acquire(blocking=False):
            self._is_nearly_done = False
            with contextlib.suppress(sqlite3.Error):
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._turn.release()
        if self._written >= PAGES:
            self._limit_log(writer)
            self._due.set()

    def _limit_log(self, writer: sqlite3.Connection) -> None:
        with contextlib.suppress(OSError, sqlite3.Error):
            limit = max(LOG_BYTES, self._log.stat().st_size - LOG_BYTES)
            writer.execute(f"PRAGMA journal_size_limit = {limit}")

    def checkpoint(self) -> int:
        """Copy what no reader needs; gives the bytes that are left. Blocks, and no writer.

        Raises sqlite3.Error.
        """
        with self._turn:
            self._written = 0
            row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            busy, in_log, copied = row
            self._is_nearly_done = not busy and 0 <= in_log - copied <= LEFT_TO_WRITER
            (page,) = self._connection.execute("PRAGMA page_size").fetchone()
            left: int = max(0, in_log - copied) * page
            return left

    def end(self) -> None:
        """End the thread, and close the connection. Blocks. Idempotent."""
        self._ended = True
        self._due.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._due.wait() and not self._ended:
            self._due.clear()
            # The writer finds out if the disk fails.
            with contextlib.suppress(sqlite3.Error):
                self.checkpoint()
