"""The one door to SQLite: a writer thread with group commit, and readers beside it.

All writes that wait at one moment share one transaction and so one fsync, which is what makes a
durable acknowledgement cheap: on a disk with 50 fsyncs a second, thousands of writes a second.
``synchronous=FULL`` because an acknowledged message must survive a power cut.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from traceback import clear_frames
from typing import Generic, Protocol, TypeGuard, TypeVar, cast

import trio

from daemon.errors import StoreDamaged, StoreError, StoreInUse, StoreUnavailable
from daemon.ledger.drivers.sqlite.file_lock import owned
from daemon.ledger.drivers.sqlite.readers import Readers
from daemon.ledger.migrations import migrate
from daemon.system.private_files import make_folder, new_file

# Handing work to a thread once a pass of the event loop, in place of once for each piece.


T = TypeVar("T")


class HandOver(trio.abc.Instrument, Generic[T]):
    """Gathers what the tasks of one pass want of a thread, and gives it all when they have run.

    A thread that is woken for each entry competes with the loop for the interpreter, and finds
    little to do each time; woken once, it finds all of it (a webhook costs a sixth less). Little
    waits longer than it would for the interpreter: trio calls `before_io_wait` in each pass, before
    it looks for news or sleeps. `take` is for the thread, all else for the event loop.
    """

    def __init__(self) -> None:
        """Hand over from now on, until `end`."""
        self._gathered: list[T] = []
        self._handed: queue.SimpleQueue[list[T] | None] = queue.SimpleQueue()
        self._waiting: list[T] = []
        self._ended = False
        trio.lowlevel.add_instrument(self)

    def put(self, entry: T) -> None:
        """Hand this over at the end of the pass."""
        self._gathered.append(entry)

    def end(self) -> None:
        """Hand over what there is, and nothing any more. Idempotent."""
        try:
            trio.lowlevel.remove_instrument(self)
        except KeyError:
            return
        self._handed.put(self._gathered)
        self._handed.put(None)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        if self._gathered:
            self._handed.put(self._gathered)
            self._gathered = []

    def take(self, most: int) -> list[T]:
        """Wait for entries and give them, in order, so many at most; none if there come no more."""
        while len(self._waiting) < most and not self._ended:
            try:
                handed = self._handed.get(block=not self._waiting)
            except queue.Empty:
                break
            if handed is None:
                self._ended = True
            else:
                self._waiting += handed
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken


MAX_BATCH = 256
"""Writes in one transaction. More would only delay the first of them."""

READERS = 2
"""Reader threads: reads are short, and more threads would only compete for the interpreter."""

CLOSE_SECONDS = 2.0
"""How long a close goes on although it is cancelled: the lock must not be free before the last
write is done, and the stop as a whole has a deadline of seconds."""

WAL_BYTES = 16 * 1024 * 1024
"""To this the write-ahead log is cut when it begins anew: a burst gives its room back."""

LOCK_SECONDS, LOCK_EVERY_SECONDS = 1.0, 0.005
"""How long the start tries to get the store, and how often: `recado forget` without a daemon has it
for a slice at a time."""

EMPTY_TRIES = 50
EMPTY_MILLISECONDS = 25
"""Each try to empty the log waits so long for readers, and writers wait as long."""

FATAL_CODES = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""After these the handle is not trusted any more: after a failed fsync the kernel may have thrown
the dirty pages away, so going on would acknowledge what is not on the disk."""


class Meter(Protocol):
    """What the database reports about itself; called in the event loop's thread."""

    def committed(self, *, rows: int, seconds: float) -> None:
        """A transaction of ``rows`` writes took ``seconds``."""


class _Write(Generic[T]):
    """One write on its way through the writer thread."""

    __slots__ = ("done", "error", "operation", "result")

    def __init__(self, operation: Callable[[sqlite3.Connection], T]) -> None:
        self.operation = operation
        self.done = trio.Event()
        self.result: T | None = None
        self.error: BaseException | None = None


class Database:
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
        self._closing = False
        self._clock = clock
        self._meter = meter
        self._token = trio.lowlevel.current_trio_token()
        self._connection = _connect(path)
        self._readers = Readers([_connect(path, read_only=True) for _ in range(READERS)])
        self._writes: HandOver[_Write[object]] = HandOver()
        self._thread = threading.Thread(target=self._write_all, name="store writer", daemon=True)
        self._thread.start()

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``operation`` inside the next transaction and return its result once it is durable.

        ``operation`` runs in the writer thread and must only use the connection it is given. It
        may be
        undone and run once more, if another write of the same transaction fails. If the caller is
        cancelled while waiting, the write still happens.

        Raises StoreUnavailable if it is not stored; what the verb itself raises passes through,
        with the verb's own changes undone.
        """
        if self.fatal_error or self._closing:
            raise StoreUnavailable(self.fatal_error or "the store is closed")
        write = _Write(operation)
        self._writes.put(cast("_Write[object]", write))
        await write.done.wait()
        if write.error is not None:
            raise write.error
        return cast("T", write.result)

    async def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``operation`` on a read-only connection in a thread; it sees all that is committed.

        ``operation`` must only use the connection it is given. If the caller is cancelled while
        waiting, nobody gets its result. Raises StoreUnavailable if the database cannot be read;
        what the verb itself raises passes through.
        """
        return await self._readers.read(operation)

    async def probe(self) -> None:
        """Try whether writes that failed would succeed by now; does nothing if none failed.

        Takes up some pages and gives them back, so that it fails where there is no room. Raises
        StoreUnavailable if there is still none.
        """
        if self.last_write_error:
            await self.write(_take_room)

    def wal_bytes(self) -> int:
        """Size of the write-ahead log; 0 if there is none."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    async def checkpoint(self) -> None:
        """Fold as much of the write-ahead log into the file as nobody reads, beside the writes.

        Raises StoreUnavailable.
        """
        try:
            await trio.to_thread.run_sync(_checkpoint, self.path)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot fold the store's log in: {error}") from error

    async def empty_log(self) -> None:
        """Fold all of the write-ahead log into the file and empty it: it holds deleted rows too.

        Raises StoreUnavailable if somebody kept reading.
        """
        try:
            await trio.to_thread.run_sync(_empty_log, self.path)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot empty the store's log: {error}") from error

    async def answer(self) -> None:
        """Return as soon as the writer has taken up a write, or refused one.

        For the watchdog. It writes nothing, so it costs no fsync.
        """
        with contextlib.suppress(StoreUnavailable):
            await self.write(lambda _connection: None)

    async def close(self) -> None:
        """Finish the writes that wait, fold the log into the file, and close. Idempotent."""
        self._closing = True
        self._writes.end()
        with trio.move_on_after(CLOSE_SECONDS, shield=True) as grace:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)
        if grace.cancelled_caught:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)

    def _join(self) -> None:
        """Wait until no thread uses the file any more."""
        self._thread.join()
        self._readers.close()

    # -- in the writer thread ----------------------------------------------------------------

    def _write_all(self) -> None:
        """Take whatever waits, commit it as one, until told to end."""
        while batch := self._writes.take(MAX_BATCH):
            self._commit(batch)
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _commit(self, batch: list[_Write[object]]) -> None:
        started = self._clock()
        fatal_error = self.fatal_error or self._commit_as_one(batch)
        if fatal_error:
            for write in batch:
                write.error = StoreUnavailable(fatal_error)
        self.last_write_error = fatal_error
        seconds = self._clock() - started
        # The run may be over already; then nobody waits.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._finish, batch, seconds)

    def _commit_as_one(self, batch: list[_Write[object]]) -> str:
        """Write a batch in one transaction; gives the fault if nothing of it is stored.

        Verbs hardly ever fail, so they go without a net first. If one has failed, all are undone
        and run again, each with a savepoint of its own.
        """
        try:
            with transaction(self._connection):
                for write in batch:
                    write.result = write.operation(self._connection)
        except Exception as error:  # noqa: BLE001 - told apart in the second run
            if _is_of_the_disk(error):
                return self._note_error(error)
        else:
            return ""
        try:
            with transaction(self._connection):
                for write in batch:
                    _apply(self._connection, write)
        except sqlite3.Error as error:
            return self._note_error(error)
        return ""

    def _note_error(self, error: sqlite3.Error) -> str:
        """Say what failed; remember it if the handle cannot be trusted any more."""
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        fatal_error = f"cannot write to the store: {error} ({name})"
        if _is_fatal(error):
            self.fatal_error = fatal_error
        return fatal_error

    # -- back in the event loop --------------------------------------------------------------

    def _finish(self, batch: list[_Write[object]], seconds: float) -> None:
        for write in batch:
            write.done.set()
        if self.fatal_error:
            self.failed.set()
        if self._meter is not None:
            self._meter.committed(rows=len(batch), seconds=seconds)


def _checkpoint(path: Path) -> None:
    with contextlib.closing(_connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # makes no writer and no reader wait


def _empty_log(path: Path) -> None:
    with contextlib.closing(_connect(path)) as connection:
        empty_log(connection)


def empty_log(connection: sqlite3.Connection) -> None:
    """Fold the write-ahead log into the file and empty it, outside of a transaction.

    Writers wait for one try at most, some milliseconds. Raises StoreUnavailable.
    """
    connection.execute(f"PRAGMA busy_timeout = {EMPTY_MILLISECONDS}")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    for _ in range(EMPTY_TRIES):
        with contextlib.suppress(sqlite3.OperationalError):
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy:
                return
    raise StoreUnavailable(
        "the store's log still holds what was deleted, since the store is being read; it is emptied"
        " when the daemon stops"
    )


def _take_room(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE room AS SELECT zeroblob(65536) AS bytes")
    connection.execute("DROP TABLE room")


def _is_fatal(error: sqlite3.Error) -> bool:
    """True if the handle cannot be trusted after this error."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in FATAL_CODES


def _is_of_the_disk(error: Exception) -> TypeGuard[sqlite3.Error]:
    """True if the disk has failed, and not the verb."""
    return isinstance(error, sqlite3.OperationalError) or (
        isinstance(error, sqlite3.Error) and _is_fatal(error)
    )


def _apply(connection: sqlite3.Connection, write: _Write[object]) -> None:
    """Run one write so that its failure undoes it alone."""
    connection.execute("SAVEPOINT one_write")
    try:
        write.result = write.operation(connection)
    except sqlite3.Error as error:
        if _is_of_the_disk(error):
            raise  # the whole batch fails
        write.error = StoreError(f"the store refused a write: {error}")
    except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
        clear_frames(error.__traceback__)  # a cursor in there would go on reading
        write.error = error
    if write.error is not None:
        connection.execute("ROLLBACK TO one_write")
    connection.execute("RELEASE one_write")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
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


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        # What is deleted is overwritten at once, since it may be somebody's who is forgotten.
        connection.execute("PRAGMA secure_delete = ON")
    return connection


async def _prepare(path: Path) -> None:
    """Have the file ready for use, in a thread; cancelled, it breaks off, and nothing is lost."""
    opened: list[sqlite3.Connection] = []
    try:
        await trio.to_thread.run_sync(_made_ready, path, opened, abandon_on_cancel=True)
    except trio.Cancelled:
        for connection in opened:
            with contextlib.suppress(sqlite3.Error):  # it may be closed by now
                connection.interrupt()
        raise


def _made_ready(path: Path, opened: list[sqlite3.Connection]) -> None:
    """Create the file if need be, bring its tables up to date, and check that it is sound.

    ``opened`` gets the connection that may be interrupted meanwhile.
    """
    try:
        with contextlib.suppress(FileExistsError):
            new_file(path).close()  # SQLite gives the files beside it the same mode
        with contextlib.closing(_connect(path)) as connection:
            opened.append(connection)
            migrate(connection)
            faults = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except (sqlite3.Error, OSError) as error:
        raise StoreDamaged(f"cannot open the store {path}: {error}") from error
    if faults != ["ok"]:
        raise StoreDamaged(f"the store {path} is damaged: {'; '.join(faults)}")


@contextlib.asynccontextmanager
async def _owned_soon(lock_file: Path) -> AsyncIterator[None]:
    """Hold the store's lock; a command may have it for moments. Raises StoreInUse."""
    deadline = trio.current_time() + LOCK_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(owned(lock_file))
                break
            except StoreInUse:
                if trio.current_time() > deadline:
                    raise
            await trio.sleep(LOCK_EVERY_SECONDS)
        yield


@contextlib.asynccontextmanager
async def open_database(
    path: Path, *, clock: Callable[[], float], meter: Meter | None = None
) -> AsyncIterator[Database]:
    """Open the store's file for this process alone; the folder is created if it is missing.

    ``clock`` measures durations, in seconds. Raises StoreInUse if another process has the store,
    StoreDamaged if it cannot be opened, is not sound, or is of a later version.
    """
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StoreDamaged(f"cannot create {path.parent}: {error.strerror}") from error
    async with _owned_soon(path.with_suffix(".lock")):
        await _prepare(path)
        database = Database(path, clock=clock, meter=meter)
        try:
            yield database
        finally:
            await database.close()
