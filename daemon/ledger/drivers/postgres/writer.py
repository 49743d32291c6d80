"""A connection that writes: one thread, whose waiting writes share a transaction.

If the connection breaks during COMMIT, the server is asked on a new one what became of the
transaction. Only if the server cannot tell either, callers get `CommitUnknown` and read the ledger
again.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable
from traceback import clear_frames
from typing import Any, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, ReadOnlySqlTransaction, SerializationFailure

from daemon.errors import CommitUnknown, NotOwned, StoreError, StoreUnavailable
from daemon.ledger.drivers.batch_queue import BatchQueue
from daemon.ledger.drivers.postgres.connection import PostgresConnection, Psycopg, connect, reason
from daemon.ledger.drivers.postgres.ownership import LEDGER, Lost, Numbers, Ownership
from daemon.ledger.drivers.threads import AwaitedWrite

T = TypeVar("T")

MAX_BATCH = 128
"""Writes in one transaction."""

ROLLED_BACK = (DeadlockDetected, SerializationFailure)
"""What the server says when it has rolled a transaction back because of another one."""

TRIES = 3
"""How often such a transaction is tried."""

STUCK_SECONDS = 20.0
"""A commit that takes longer waits for a standby that is gone, and nobody knows for how long."""

RESOLVE_SECONDS, RESOLVE_EVERY_SECONDS = 5.0, 0.1
"""How long the server is asked what became of a transaction, and how often."""

_STATUS = "SELECT pg_xact_status(%s::xid8)"
_TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
"""A transaction's number means something on its timeline only: after a fail-over another
transaction may have it."""


class NumberedWrite(AwaitedWrite[T]):
    """A write that is for some numbers."""

    __slots__ = ("numbers",)

    def __init__(self, operation: Callable[[Any], T], numbers: Numbers) -> None:
        super().__init__(operation)
        self.numbers = numbers


Batch = list[NumberedWrite[object]]


class Writer:
    """One writing connection and its thread. Made and ended in the event loop."""

    def __init__(
        self,
        url: str,
        ownership: Ownership,
        finished: Callable[[Batch, float, str], None],
        *,
        clock: Callable[[], float],
    ) -> None:
        """``finished`` is called by the thread after each batch: seconds, and why it failed."""
        self._url = url
        self._ownership = ownership
        self._finished = finished
        self._clock = clock
        self._connection: Psycopg | None = None
        self._timeline = ""
        self._busy_since: float | None = None
        self._writes: BatchQueue[NumberedWrite[object]] = BatchQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="store writer", daemon=True)
        self._thread.start()

    def put(self, write: NumberedWrite[object]) -> None:
        """Queue a write for the next transaction."""
        self._writes.put(write)

    def is_stuck(self) -> bool:
        """Whether a transaction takes so long that others should not queue up behind it."""
        since = self._busy_since
        return since is not None and self._clock() - since > STUCK_SECONDS

    def end(self) -> None:
        """Finish the waiting writes; later ones are ignored. Idempotent."""
        self._writes.end()
        self._ended.set()

    def join(self) -> None:
        """Wait until the thread has ended. Blocks. Idempotent."""
        self._thread.join()
        self._writes.close()

    # -- in the thread -------------------------------------------------------------------------

    def _write_all(self) -> None:
        while batch := self._writes.get_batch(MAX_BATCH):
            started = self._busy_since = self._clock()
            failure = self._commit(batch)
            self._busy_since = None
            self._finished(batch, self._clock() - started, failure)
        if self._connection is not None:
            self._connection.close()

    def _commit(self, batch: Batch) -> str:
        """Write a batch in one transaction; return the error if nothing of it is stored.

        What is for a number that another node has now is refused alone.
        """
        failure: StoreError
        while batch:
            try:
                self._try(batch)
            except psycopg.Error as error:
                failure = StoreUnavailable(f"cannot write to the database: {reason(error)}")
                if isinstance(error, ReadOnlySqlTransaction) and self._connection is not None:
                    self._connection.close()  # another server is the primary by now
                break
            except CommitUnknown as error:
                failure = error
                break
            except Lost as error:
                refused = [write for write in batch if _is_for(write, error.numbers)]
                for write in refused:
                    write.error = NotOwned(str(error))
                batch = [write for write in batch if write not in refused]
            except Exception as error:  # noqa: BLE001 - callers would wait for ever
                failure = StoreUnavailable(f"a write failed: {type(error).__name__}")
                break
            else:
                return ""
        else:
            return ""
        for write in batch:
            write.error = failure
        return str(failure)

    def _try(self, batch: Batch) -> None:
        """Operations hardly ever fail, so they run without savepoints first.

        If one fails, all are undone and run again, each with a savepoint of its own.
        """
        apply, tries_left = _together, TRIES
        while True:
            for write in batch:
                write.error = None
            try:
                self._run(batch, apply)
            except ROLLED_BACK:
                tries_left -= 1
                if not tries_left:
                    raise
            except (psycopg.OperationalError, psycopg.InterfaceError, Lost):
                raise
            except CommitUnknown:
                raise
            except Exception:
                if apply is _each:
                    raise
                apply = _each
            else:
                return

    def _run(self, batch: Batch, apply: Callable[[PostgresConnection, Batch], None]) -> None:
        """Make the batch one transaction, which proves first that it may write."""
        connection, transaction = self._begun(_numbers_of(batch))
        timeline = self._timeline
        try:
            apply(PostgresConnection(connection), batch)
        except BaseException:
            self._undo(connection)
            raise
        try:
            connection.execute("COMMIT", prepare=False)
        except psycopg.Error:
            if not connection.closed:
                self._undo(connection)
                raise
            if not self._is_stored(transaction, timeline):
                raise

    def _begun(self, numbers: Numbers) -> tuple[Psycopg, str]:
        """Begin a transaction; on a new connection if the last one turns out to have ended."""
        was_used = self._connection is not None
        while True:
            connection = self._connected()
            try:
                return connection, self._ownership.begin(connection, numbers)
            except BaseException as error:
                self._undo(connection)
                if not (was_used and connection.closed and isinstance(error, psycopg.Error)):
                    raise
            was_used = False

    @staticmethod
    def _undo(connection: Psycopg) -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute("ROLLBACK", prepare=False)

    def _connected(self) -> Psycopg:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, name=self._ownership.word)
            (self._timeline,) = self._connection.execute(_TIMELINE).fetchone() or ("",)
        return self._connection

    def _is_stored(self, transaction: str, timeline: str) -> bool:
        """Ask what became of a transaction whose COMMIT got no answer. Raises CommitUnknown."""
        deadline = self._clock() + RESOLVE_SECONDS
        while self._clock() < deadline:
            with contextlib.suppress(psycopg.Error):
                connection = self._connected()
                row = connection.execute(_STATUS, (transaction,)).fetchone()
                if self._timeline != timeline or row is None or row[0] is None:
                    break
                if row[0] != "in progress":
                    return bool(row[0] == "committed")
            self._ended.wait(RESOLVE_EVERY_SECONDS)
        raise CommitUnknown("the database went away during a commit")


def _numbers_of(batch: Batch) -> Numbers:
    """The numbers of all writes together."""
    found: set[str] = set()
    for write in batch:
        if write.numbers is None:
            return None
        found.update(write.numbers)
    return tuple(sorted(found))


def _is_for(write: NumberedWrite[object], numbers: Collection[str]) -> bool:
    """Whether a write is for one of these numbers; what is for all of them is for the ledger."""
    return not set(numbers).isdisjoint((LEDGER,) if write.numbers is None else write.numbers)


def _together(connection: PostgresConnection, batch: Iterable[NumberedWrite[object]]) -> None:
    for write in batch:
        write.result = write.operation(connection)


def _each(connection: PostgresConnection, batch: Iterable[NumberedWrite[object]]) -> None:
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
