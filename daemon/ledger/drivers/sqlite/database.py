"""SQLite as the ledger's database: a writer thread with group commit, and reader threads.

All writes that wait at one moment share one transaction and so one fsync. That makes a durable
acknowledgement cheap: on a disk with 50 fsyncs a second, thousands of writes a second.
``synchronous=FULL`` because an acknowledged message must survive a power cut.
"""

import contextlib
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from traceback import clear_frames
from typing import TypeGuard, TypeVar, cast

import trio

from daemon.errors import StoreError, StoreUnavailable
from daemon.ledger.drivers.batch_queue import BatchQueue
from daemon.ledger.drivers.port import (
    JointWrite,
    Meter,
    PendingWrite,
    WriterThread,
    WriteSource,
)
from daemon.ledger.drivers.sqlite.checkpoints import Checkpointer
from daemon.ledger.drivers.sqlite.soundness import LateCheck
from daemon.ledger.drivers.sqlite.text_index import SqliteTextIndex
from daemon.ledger.drivers.threads import AwaitedWrite, Readers

T = TypeVar("T")


class SqliteConnection(sqlite3.Connection):
    """A `daemon.ledger.drivers.port.Connection`."""

    @property
    def text_index(self) -> SqliteTextIndex:
        """The index of words."""
        return SqliteTextIndex(self)


Operation = Callable[[SqliteConnection], object]

MAX_BATCH = 256
"""Writes in one transaction. More would only delay the first of them."""

READERS = 2
"""Reader threads: reads are short, and more threads would only compete for the interpreter."""

CLOSE_SECONDS = 2.0
"""How long a close goes on after it is cancelled: the lock must not be released before the last
write is done, and the whole stop has a deadline of seconds."""

EMPTY_TRIES, EMPTY_REST_SECONDS = 15, 0.1
EMPTY_MILLISECONDS = 25
"""How often the log is tried to be emptied, with a rest for writers after each try, and how long a
try waits for readers while writers wait."""

FATAL_CODES = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""After these errors the connection is not trusted: after a failed fsync the kernel may have
dropped the dirty pages, so a later commit could acknowledge what is not on the disk."""


class _SqliteReading:
    """A read-only connection; see `daemon.ledger.drivers.threads.ReadSource`."""

    def __init__(self, connection: SqliteConnection) -> None:
        self.connection = connection

    def use(self) -> SqliteConnection:
        return self.connection

    def has_ended(self, error: Exception) -> bool:  # noqa: ARG002 - it does so at the close only
        return False

    def fault(self, error: Exception) -> str:
        return str(error) if isinstance(error, sqlite3.Error) else ""

    def interrupt(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed before
            self.connection.interrupt()

    def close(self) -> None:
        self.connection.close()


class SqliteDatabase:
    """One SQLite file, opened by `open_database`.

    `write` and `read` may be called by any task of the trio run that opened it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float], meter: Meter | None) -> None:
        self.path = path
        self.fatal_error = ""
        """Why the database cannot be used any more; empty while it can."""
        self.failed = trio.Event()
        """Set once `fatal_error` is: the daemon then stops, and the next start opens it afresh."""
        self.last_write_error = ""
        """Why the last write was not stored, on a disk that is full for example; empty if it was.
        Unlike a `fatal_error` it may pass."""
        self.commits = 0
        """Transactions since the last `checkpoint`."""
        self._closing = False
        self._clock = clock
        self._meter = meter
        self._token = trio.lowlevel.current_trio_token()
        self._connection = connect(path)
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # that is for `Checkpointer`
        # Else a statement of many rows makes a file to be undone with, and deletes it.
        self._connection.execute("PRAGMA temp_store = MEMORY")
        self._readers = Readers(
            [_SqliteReading(connect(path, read_only=True)) for _ in range(READERS)]
        )
        self._checkpointer = Checkpointer(connect(path), _log_of(path))
        self._writes: BatchQueue[PendingWrite[object]] = BatchQueue()
        self._thread = threading.Thread(target=self._write_all, name="store writer", daemon=True)
        self._thread.start()
        self._check = LateCheck(path, partial(connect, path, read_only=True), self._found_damage)

    def of(self, *_numbers: str) -> "SqliteDatabase":
        """Return the same database: a file has one writer, whomever a write is for."""
        return self

    def with_own_connection(self) -> "SqliteDatabase":
        """Return the same database, likewise."""
        return self

    leads = True
    """One process has the file, and so everything."""

    def settles_at(self, number: str) -> float:  # noqa: ARG002 - of all the same
        """0: an earlier process ended before this one had the file."""
        return 0.0

    def lease_left(self, number: str) -> float:  # noqa: ARG002 - of all the same
        """Without an end: the file is locked while this process lives."""
        return math.inf

    def failure(self) -> StoreUnavailable:
        """See `daemon.ledger.drivers.port.Database`. The next start opens the file afresh."""
        return StoreUnavailable(self.fatal_error)

    async def write(self, operation: Callable[[SqliteConnection], T]) -> T:
        """Run ``operation`` inside the next transaction and return its result once it is durable.

        ``operation`` runs in the writer thread and uses only the connection it is given. It may be
        undone and run again if another write of the same transaction fails. If the caller is
        cancelled while waiting, the write still happens.

        Raises StoreUnavailable if it is not stored. What ``operation`` raises passes through, with
        its changes undone.
        """
        if self.fatal_error or self._closing:
            raise StoreUnavailable(self.fatal_error or "the store is closed")
        write = AwaitedWrite(operation)
        self._writes.put(cast("PendingWrite[object]", write))
        await write.done.wait()
        if write.error is not None:
            raise write.error
        return cast("T", write.result)

    def receive(self, source: WriteSource) -> WriterThread:
        """See `daemon.ledger.drivers.port.Database`."""
        self._writes.source = source
        return self._writes

    async def read(self, operation: Callable[[SqliteConnection], T]) -> T:
        """Run ``operation`` on a read-only connection in a thread; it sees all that is committed.

        It uses only the connection it is given. Raises StoreUnavailable if the database cannot be
        read; what ``operation`` raises passes through.
        """
        return await self._readers.read(operation)

    async def probe(self) -> None:
        """Test whether writes succeed again; does nothing if the last one did.

        It allocates some pages and frees them, so it fails on a full disk. Raises StoreUnavailable
        if there is still no room.
        """
        if self.last_write_error:
            await self.write(_take_room)

    async def size_bytes(self) -> int:
        """Size of the file, without the write-ahead log. Raises OSError."""
        await trio.lowlevel.checkpoint()
        return self.path.stat().st_size

    def wal_bytes(self) -> int:
        """Size of the write-ahead log; 0 if there is none."""
        try:
            return _log_of(self.path).stat().st_size
        except FileNotFoundError:
            return 0

    async def checkpoint(self) -> int:
        """Move what no reader needs from the write-ahead log into the file, without waiting.

        Gives the bytes that are left in it. Raises StoreUnavailable.
        """
        self.commits = 0
        try:
            return await trio.to_thread.run_sync(self._checkpointer.checkpoint)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot copy the store's log into its file: {error}") from error

    async def empty_log(self) -> None:
        """Move the whole write-ahead log into the file and empty it: it holds deleted rows too.

        Raises StoreUnavailable if readers held it all the time.
        """
        try:
            await trio.to_thread.run_sync(_empty_log, self.path)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot empty the store's log: {error}") from error

    async def answer(self) -> None:
        """Return once the writer thread has run, or refused, a write that changes nothing.

        For the watchdog; it costs no fsync.
        """
        with contextlib.suppress(StoreUnavailable):
            await self.write(lambda _connection: None)

    async def close(self) -> None:
        """Finish the waiting writes, move the log into the file, and close. Idempotent."""
        self._closing = True
        self._writes.end()
        with trio.move_on_after(CLOSE_SECONDS, shield=True) as grace:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)
        if grace.cancelled_caught:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)

    def _join(self) -> None:
        """Wait until no thread uses the file."""
        self._check.end()
        self._thread.join()
        self._writes.close()
        self._readers.close()

    def _found_damage(self, faults: str) -> None:
        """End the use of the file; called in the thread of the check."""
        self.fatal_error = f"the store {self.path} is damaged: {faults}"
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.failed.set)

    # -- in the writer thread ----------------------------------------------------------------

    def _write_all(self) -> None:
        """Commit whatever waits as one transaction, until the queue ends."""
        while batch := self._writes.get_batch(MAX_BATCH):
            self._commit(batch)
            self._checkpointer.committed(self._connection, len(batch))
        self._checkpointer.end()
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _commit(self, batch: list[PendingWrite[object]]) -> None:
        started = self._clock()
        fatal_error = self.fatal_error or self._commit_as_one(batch)
        if fatal_error:
            for write in batch:
                write.error = StoreUnavailable(fatal_error)
        self.commits += 1
        self.last_write_error = fatal_error
        seconds = self._clock() - started
        awaited = [write for write in batch if isinstance(write, AwaitedWrite)]
        # Before the answers: who has one finds what follows from it done.
        self._writes.run_later(partial(self._finish, awaited, len(batch), seconds))
        if self._writes.source is not None:
            self._writes.source.committed()
        if awaited:
            self._writes.wake_loop()

    def _commit_as_one(self, batch: list[PendingWrite[object]]) -> str:
        """Write a batch in one transaction; gives the error if nothing of it is stored.

        Operations hardly ever fail, so they run without savepoints first. If one fails, all are
        undone and run again, each with a savepoint of its own.
        """
        try:
            with transaction(self._connection):
                results = run_together(self._connection, [one.operation for one in batch])
                self._writes.wake_loop_if_late()  # the loop has the interpreter during the flush
        except Exception as error:  # noqa: BLE001 - the second run tells which failed
            if _is_of_the_disk(error):
                return self._note_error(error)
        else:
            for write, result in zip(batch, results, strict=True):
                write.result = result
            return ""
        try:
            with transaction(self._connection):
                for write in batch:
                    _apply(self._connection, write)
        except sqlite3.Error as error:
            return self._note_error(error)
        return ""

    def _note_error(self, error: sqlite3.Error) -> str:
        """Describe an error, and keep it if the connection is not trusted after it."""
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        fatal_error = f"cannot write to the store: {error} ({name})"
        if _is_fatal(error):
            self.fatal_error = fatal_error
        return fatal_error

    # -- back in the event loop --------------------------------------------------------------

    def _finish(self, awaited: Sequence[AwaitedWrite[object]], rows: int, seconds: float) -> None:
        for write in awaited:
            write.done.set()
        if self.fatal_error:
            self.failed.set()
        if self._meter is not None:
            self._meter.committed(rows=rows, seconds=seconds)


def _log_of(path: Path) -> Path:
    """The file of the write-ahead log, see https://sqlite.org/walformat.html."""
    return path.with_name(f"{path.name}-wal")


def _empty_log(path: Path) -> None:
    with contextlib.closing(connect(path)) as connection:
        empty_log(connection)


def empty_log(connection: SqliteConnection) -> None:
    """Move the write-ahead log into the file and empty it, outside of a transaction.

    Writers wait for one try at most, some milliseconds, and for none while a long read needs the
    log. Raises StoreUnavailable.
    """
    connection.execute(f"PRAGMA busy_timeout = {EMPTY_MILLISECONDS}")
    for _ in range(EMPTY_TRIES):
        with contextlib.suppress(sqlite3.OperationalError):
            _, in_log, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if copied == in_log:
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if not busy:
                    return
        threading.Event().wait(EMPTY_REST_SECONDS)
    raise StoreUnavailable(
        "the store's log still holds what was deleted, since the store is being read; it is emptied"
        " when the daemon stops"
    )


def _take_room(connection: SqliteConnection) -> None:
    connection.execute("CREATE TABLE room AS SELECT zeroblob(65536) AS bytes")
    connection.execute("DROP TABLE room")


def _is_fatal(error: sqlite3.Error) -> bool:
    """True if the connection is not trusted after this error."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in FATAL_CODES


def _is_of_the_disk(error: Exception) -> TypeGuard[sqlite3.Error]:
    """True if the disk failed, and not the operation."""
    return isinstance(error, sqlite3.OperationalError) or (
        isinstance(error, sqlite3.Error) and _is_fatal(error)
    )


def run_together(connection: SqliteConnection, writes: Sequence[Operation]) -> list[object]:
    """Run writes in their order, neighbours of one joint kind together; gives their results."""
    results: list[object] = []
    for kind, alike in groupby(writes, key=_joint_kind):
        if kind is None:
            results += [write(connection) for write in alike]
        else:
            results += kind.together(connection, list(alike))
    return results


def _joint_kind(write: object) -> type[JointWrite[object]] | None:
    return type(write) if isinstance(write, JointWrite) else None


def _apply(connection: SqliteConnection, write: PendingWrite[object]) -> None:
    """Run one write so that its failure undoes it alone."""
    connection.execute("SAVEPOINT one_write")
    try:
        write.result = write.operation(connection)
    except sqlite3.Error as error:
        if _is_of_the_disk(error):
            raise  # the whole batch fails
        write.error = StoreError(f"the store refused a write: {error}")
    except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
        clear_frames(error.__traceback__)  # a cursor in its frames would go on reading
        write.error = error
    if write.error is not None:
        connection.execute("ROLLBACK TO one_write")
    connection.execute("RELEASE one_write")


@contextlib.contextmanager
def transaction(connection: SqliteConnection) -> Iterator[None]:
    """Make the block one transaction: all of it is stored, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors (a full disk) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def connect(path: Path, *, read_only: bool = False) -> SqliteConnection:
    """A connection as the daemon uses them; any thread may use it, one at a time."""
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=SqliteConnection,
    )
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Deleted bytes are overwritten at once: they may be those of a forgotten person.
        connection.execute("PRAGMA secure_delete = ON")
    return connection
