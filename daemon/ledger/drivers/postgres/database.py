"""PostgreSQL behind the ledger: a writer thread with group commit, readers, and ownership.

All writes that wait share a transaction and so one round trip to the server's disk. Every write is
made by the connection that holds the server's lock of this ledger: a process that has lost the lock
has lost that connection, so it cannot write any more, whatever it still believes.

A connection that breaks is made again at the next write. If it breaks during COMMIT, nobody knows
whether the transaction is stored; callers get `CommitUnknown` and read the ledger again.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from traceback import clear_frames
from typing import Any, TypeVar, cast

import psycopg
import trio
from psycopg.errors import TransactionRollback

from daemon.errors import CommitUnknown, StoreError, StoreInUse, StoreUnavailable
from daemon.ledger.drivers.port import Meter
from daemon.ledger.drivers.postgres.connection import PostgresConnection, connect, reason
from daemon.ledger.drivers.threads import HandOver, QueuedWrite, Readers

T = TypeVar("T")

READERS = 4
"""Reader connections: a read is mostly waiting for the server."""

MAX_BATCH = 128
"""Writes in one transaction."""

CLOSE_SECONDS = 2.0
"""How long a close waits for the writes under way although it is cancelled."""

OWNERSHIP = 0x5265_6361_646F
"""The key of the advisory lock of a ledger; such locks are of one database."""

Psycopg = psycopg.Connection[tuple[Any, ...]]


class _PostgresReading:
    """A read-only connection; see `daemon.ledger.drivers.threads.ReadSource`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Psycopg | None = None

    def use(self) -> PostgresConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, read_only=True)
        return PostgresConnection(self._connection)

    def fault(self, error: Exception) -> str:
        return reason(error) if isinstance(error, psycopg.Error) else ""

    def interrupt(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=1)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def owning_connection(url: str) -> Psycopg:
    """Connect, and take the lock of the ledger for as long as the connection lives.

    Raises StoreInUse if another process has it, psycopg.Error if the server cannot be used.
    """
    connection = connect(url)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [OWNERSHIP]).fetchone()
    if row and row[0]:
        return connection
    holder = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    connection.close()
    raise StoreInUse("the database", str(holder[0]) if holder else "unknown")


class PostgresDatabase:
    """One PostgreSQL database, opened by `daemon.ledger.drivers.postgres.opening.open_postgres`.

    `write` and `read` may be called by any task of the trio run that opened it.
    """

    def __init__(
        self, url: str, owning: Psycopg, *, clock: Callable[[], float], meter: Meter | None
    ) -> None:
        self.url = url
        self.fatal_error = ""
        """Why the database cannot be used any more: another process has taken it over."""
        self.failed = trio.Event()
        """Set once `fatal_error` is; what else happens to the server may pass."""
        self.last_write_error = ""
        """Why the last write was not stored; empty if it was."""
        self.commits = 0
        self._closing = False
        self._clock = clock
        self._meter = meter
        self._token = trio.lowlevel.current_trio_token()
        self._connection = owning
        self._readers = Readers([_PostgresReading(url) for _ in range(READERS)])
        self._writes: HandOver[QueuedWrite[object]] = HandOver()
        self._thread = threading.Thread(target=self._write_all, name="store writer", daemon=True)
        self._thread.start()

    async def write(self, operation: Callable[[Any], T]) -> T:
        """Run ``operation`` inside the next transaction and return its result once it is durable.

        It runs in the writer thread, uses only the connection it is given, and may be undone and
        run again. If the caller is cancelled while waiting, the write still happens.

        Raises StoreUnavailable if it is not stored, CommitUnknown if nobody knows. What
        ``operation`` raises passes through, with its changes undone.
        """
        if self.fatal_error or self._closing:
            raise StoreUnavailable(self.fatal_error or "the store is closed")
        write = QueuedWrite(operation)
        self._writes.put(cast("QueuedWrite[object]", write))
        await write.done.wait()
        if write.error is not None:
            raise write.error
        return cast("T", write.result)

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run ``query`` on a read-only connection in a thread; it sees all that is committed.

        Raises StoreUnavailable if the server cannot be reached; what ``query`` raises passes
        through.
        """
        return await self._readers.read(query)

    async def probe(self) -> None:
        """Test whether writes succeed again; does nothing if the last one did."""
        if self.last_write_error:
            await self.write(lambda connection: connection.execute("SELECT 1").fetchone())

    async def answer(self) -> None:
        """Return once the writer thread has run, or refused, a write that changes nothing."""
        with contextlib.suppress(StoreUnavailable):
            await self.write(lambda _connection: None)

    async def size_bytes(self) -> int:
        """How large the database is, with its indexes. Raises StoreUnavailable."""
        sql = "SELECT pg_database_size(current_database())"
        size: int = await self.read(lambda connection: connection.execute(sql).fetchone()[0])
        return size

    def wal_bytes(self) -> int:
        """Return 0: the server looks after its log."""
        return 0

    async def checkpoint(self) -> None:
        """Do nothing: the server looks after its log."""
        self.commits = 0
        await trio.lowlevel.checkpoint()

    async def empty_log(self) -> None:
        """Do nothing: what the server's log and its archive keep is its administrator's."""
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        """Finish the waiting writes and close all connections. Idempotent."""
        self._closing = True
        self._writes.end()
        with trio.move_on_after(CLOSE_SECONDS, shield=True) as grace:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)
        if grace.cancelled_caught:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)

    def _join(self) -> None:
        """Wait until no thread uses the database."""
        self._thread.join()
        self._readers.close()

    # -- in the writer thread ------------------------------------------------------------------

    def _write_all(self) -> None:
        """Commit whatever waits as one transaction, until the end is handed over."""
        while batch := self._writes.take(MAX_BATCH):
            started = self._clock()
            for write in batch:
                write.error = None
            self.last_write_error = self._commit(batch)
            self.commits += 1
            # Once the trio run is over, nobody waits.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._finish, batch, self._clock() - started)
        self._connection.close()

    def _commit(self, batch: list[QueuedWrite[object]]) -> str:
        """Write a batch in one transaction; return the error if nothing of it is stored.

        Operations hardly ever fail, so they run without savepoints first. If one fails, all are
        undone and run again, each with a savepoint of its own.
        """
        failure: StoreError
        try:
            try:
                self._run(batch, _together)
            except (TransactionRollback, psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except CommitUnknown:
                raise
            except Exception:  # noqa: BLE001 - the second run tells which failed
                self._run(batch, _each)
        except psycopg.Error as error:
            failure = StoreUnavailable(f"cannot write to the database: {reason(error)}")
        except StoreInUse as error:
            self.fatal_error = str(error)
            failure = StoreUnavailable(self.fatal_error)
        except CommitUnknown as error:
            failure = error
        else:
            return ""
        for write in batch:
            write.error = failure
        return str(failure)

    def _run(
        self,
        batch: list[QueuedWrite[object]],
        apply: Callable[[PostgresConnection, list[QueuedWrite[object]]], None],
    ) -> None:
        with self._transaction() as connection:
            apply(connection, batch)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[PostgresConnection]:
        """Make the block one transaction. Raises CommitUnknown if the commit got no answer."""
        if self._connection.closed:
            self._connection = owning_connection(self.url)
        connection = self._connection
        connection.execute("BEGIN")
        try:
            yield PostgresConnection(connection)
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            if connection.closed:
                raise CommitUnknown("the database went away during a commit") from error
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise

    # -- back in the event loop ----------------------------------------------------------------

    def _finish(self, batch: list[QueuedWrite[object]], seconds: float) -> None:
        for write in batch:
            write.done.set()
        if self.fatal_error:
            self.failed.set()
        if self._meter is not None:
            self._meter.committed(rows=len(batch), seconds=seconds)


def _together(connection: PostgresConnection, batch: list[QueuedWrite[object]]) -> None:
    for write in batch:
        write.result = write.operation(connection)


def _each(connection: PostgresConnection, batch: list[QueuedWrite[object]]) -> None:
    """Run each write so that its failure undoes it alone."""
    for write in batch:
        connection.execute("SAVEPOINT one_write")
        try:
            write.result = write.operation(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise  # the whole batch fails
        except psycopg.Error as error:
            write.error = StoreError(f"the database refused a write: {reason(error)}")
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
            clear_frames(error.__traceback__)
            write.error = error
        if write.error is not None:
            connection.execute("ROLLBACK TO SAVEPOINT one_write")
        connection.execute("RELEASE SAVEPOINT one_write")
