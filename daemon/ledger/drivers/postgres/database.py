"""PostgreSQL behind the ledger: several writing connections, readers, and ownership.

The writes of a number are made by one connection, chosen by the number's name, in their order. What
is for no single number has a connection of its own. All writes that wait for a connection share a
transaction, and so one round trip to the server's disk.

A connection that breaks is made again at the next write.
"""

import contextlib
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast
from zlib import crc32

import psycopg
import trio
from psycopg.errors import FeatureNotSupported

from daemon.errors import StoreDamaged, StoreUnavailable
from daemon.ledger.drivers.port import Meter, WriteSource
from daemon.ledger.drivers.postgres.connection import PostgresConnection, Psycopg, connect, reason
from daemon.ledger.drivers.postgres.ownership import LEDGER, Numbers, Ownership
from daemon.ledger.drivers.postgres.writer import Batch, NumberedWrite, Writer
from daemon.ledger.drivers.threads import Readers

T = TypeVar("T")

READERS = 4
"""Reader connections: a read is mostly waiting for the server."""

WRITERS = 4
"""Connections that write for numbers, made when they are needed."""

CLOSE_SECONDS = 2.0
"""How long a close waits for the writes under way although it is cancelled."""


class _PostgresReading:
    """A read-only connection; see `daemon.ledger.drivers.threads.ReadSource`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Psycopg | None = None

    def use(self) -> PostgresConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, read_only=True)
        return PostgresConnection(self._connection)

    def has_ended(self, error: Exception) -> bool:
        if isinstance(error, FeatureNotSupported) and self._connection is not None:
            # It has prepared a statement for tables that a newer node has changed since.
            self._connection.close()
        return self._connection is not None and self._connection.closed

    def fault(self, error: Exception) -> str:
        return reason(error) if isinstance(error, psycopg.Error) else ""

    def interrupt(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=1)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _OfNumbers:
    """The database for callers who write for some numbers; see `PostgresDatabase.of`."""

    def __init__(
        self, database: "PostgresDatabase", numbers: Numbers, *, own_connection: bool = False
    ) -> None:
        self._database = database
        self._numbers = numbers
        self._own_connection = own_connection

    async def read(self, query: Callable[[Any], T]) -> T:
        """See `PostgresDatabase.read`."""
        return await self._database.read(query)

    async def write(self, operation: Callable[[Any], T]) -> T:
        """See `PostgresDatabase.write`."""
        return await self._database.write_for(
            self._numbers, operation, own_connection=self._own_connection
        )


class PostgresDatabase:
    """One PostgreSQL database, opened by `daemon.ledger.drivers.postgres.opening.open_postgres`.

    `write` and `read` may be called by any task of the trio run that opened it.
    """

    def __init__(
        self, url: str, ownership: Ownership, *, clock: Callable[[], float], meter: Meter | None
    ) -> None:
        self.url = url
        self.fatal_error = ""
        """Only the tables end this node, when they are of a version that it cannot work with:
        whatever happens to the server may pass."""
        self.failed = trio.Event()
        self.commits = 0
        self._last_write_error = ""
        self._notices: dict[str, trio.Event] = {}
        self._closing = False
        self._clock = clock
        self._meter = meter
        self._token = trio.lowlevel.current_trio_token()
        self._ownership = ownership
        self._readers = Readers([_PostgresReading(url) for _ in range(READERS)])
        self._writers: dict[int, Writer] = {}
        ownership.noticed, ownership.ended = self._notice_soon, self._fail_soon

    @property
    def last_write_error(self) -> str:
        """Why the last write was not stored, or the server is away; empty if neither."""
        return self._last_write_error or self._ownership.trouble

    @property
    def owned(self) -> frozenset[str]:
        """The numbers that this node owns, without those that other nodes are to have."""
        return frozenset(self._ownership.holds) - {LEDGER} - self._ownership.leaving

    @property
    def leads(self) -> bool:
        """Whether this node does what belongs to no single number."""
        return LEDGER in self._ownership.holds

    @property
    def is_alone(self) -> bool:
        """Whether no other node lives."""
        return self._ownership.is_alone

    @property
    def namesake(self) -> str:
        """Another living process whose node has the same name; empty if there is none."""
        return self._ownership.namesake

    @property
    def clock_ahead(self) -> float:
        """How many seconds this machine's clock is ahead of the database's; 0: in step."""
        return self._ownership.clock_ahead

    def settles_at(self, number: str) -> float:
        """From when on no send of its former owner is under way, on the boot clock; 0: now."""
        hold = self._ownership.holds.get(number)
        return hold.settles_at if hold else math.inf

    def epoch(self, number: str) -> int:
        """How often a number has changed hands; 0 if it is another node's."""
        hold = self._ownership.holds.get(number)
        return hold.epoch if hold else 0

    def lease_left(self, number: str | None = None) -> float:
        """For how many seconds no other node can have a number; 0 or less: it may.

        Without one: what is left of this node's lease.
        """
        ownership = self._ownership
        return ownership.lease_left() if number is None else ownership.seconds_left(number)

    async def noticed(self, what: str) -> None:
        """Wait for the next notice of this kind, such as a table's name. Some may be missed."""
        await self._notices.setdefault(what, trio.Event()).wait()

    async def take_part(self) -> None:
        """Begin to own numbers. Raises StoreUnavailable."""
        try:
            await trio.to_thread.run_sync(self._ownership.begin_taking_part)
        except psycopg.Error as error:
            raise StoreUnavailable(f"cannot write to the database: {reason(error)}") from error

    async def release(self, number: str, *, is_finished: bool) -> None:
        """Hand a number over, after all that was written for it. Raises StoreUnavailable."""

        def release(connection: PostgresConnection) -> None:
            self._ownership.release(connection.psycopg, number, is_finished=is_finished)

        await self.write_for((number,), release)

    def of(self, *numbers: str) -> _OfNumbers:
        """The database for callers who write for these numbers only, or for none."""
        return _OfNumbers(self, numbers)

    def with_own_connection(self) -> _OfNumbers:
        """The database for callers who write for none, by a connection of their own.

        What others write for no single number may wait for rows that another node has locked.
        """
        return _OfNumbers(self, (), own_connection=True)

    async def write(self, operation: Callable[[Any], T]) -> T:
        """Run ``operation`` inside the next transaction and return its result once it is durable.

        Nobody writes for any number meanwhile. It runs in a writer thread, uses only the connection
        it is given, and may be undone and run again. If the caller is cancelled while waiting, the
        write still happens.

        Raises StoreUnavailable if it is not stored, CommitUnknown if that cannot be found out. What
        ``operation`` raises passes through, with its changes undone.
        """
        return await self.write_for(None, operation)

    def receive(self, source: WriteSource) -> None:  # noqa: ARG002
        """Return None: the server's answer is what a write waits for, not the tasks here."""
        return

    async def write_for(
        self, numbers: Numbers, operation: Callable[[Any], T], *, own_connection: bool = False
    ) -> T:
        """Do the same while nobody else writes for these numbers.

        ``own_connection``: see `with_own_connection`.
        """
        if self.fatal_error or self._closing:
            raise StoreUnavailable(self.fatal_error or "the store is closed")
        write = NumberedWrite(operation, numbers)
        writer = self._writer_of(numbers, own_connection=own_connection)
        if writer.is_stuck():
            raise StoreUnavailable("the database does not answer")
        writer.put(cast("NumberedWrite[object]", write))
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
        if self._last_write_error:
            await self.of().write(lambda connection: connection.execute("SELECT 1").fetchone())

    async def answer(self) -> None:
        """Return once every writer thread has run, or refused, a write that changes nothing."""
        async with trio.open_nursery() as nursery:
            for writer in tuple(self._writers.values()):
                nursery.start_soon(self._answered, writer)

    async def size_bytes(self) -> int:
        """How large the database is, with its indexes. Raises StoreUnavailable."""
        sql = "SELECT pg_database_size(current_database())"
        size: int = await self.read(lambda connection: connection.execute(sql).fetchone()[0])
        return size

    def wal_bytes(self) -> int:
        """Return 0: the server looks after its log."""
        return 0

    async def checkpoint(self) -> int:
        """Return 0: the server looks after its log."""
        self.commits = 0
        await trio.lowlevel.checkpoint()
        return 0

    async def empty_log(self) -> None:
        """Do nothing: what the server's log and its archive keep is its administrator's."""
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        """Finish the waiting writes and close all connections. Idempotent."""
        self._closing = True
        for writer in self._writers.values():
            writer.end()
        with trio.move_on_after(CLOSE_SECONDS, shield=True) as grace:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)
        if grace.cancelled_caught:
            await trio.to_thread.run_sync(self._join, abandon_on_cancel=True)

    def _join(self) -> None:
        """Wait until no thread uses the database."""
        for writer in self._writers.values():
            writer.join()
        self._readers.close()
        self._ownership.close()

    def _writer_of(self, numbers: Numbers, *, own_connection: bool = False) -> Writer:
        """The connection for these numbers; 0 is for what belongs to no single one."""
        place = WRITERS + 1 if own_connection else 0
        if numbers and len(numbers) == 1:
            place = 1 + crc32(numbers[0].encode()) % WRITERS
        if place not in self._writers:
            self._writers[place] = Writer(
                self.url, self._ownership, self._batch_ended, clock=self._clock
            )
        return self._writers[place]

    @staticmethod
    async def _answered(writer: Writer) -> None:
        write: NumberedWrite[object] = NumberedWrite(lambda _connection: None, ())
        writer.put(write)
        await write.done.wait()

    def _batch_ended(self, batch: Batch, seconds: float, failure: str) -> None:
        """Pass the outcome of a batch to the event loop. Runs in a writer thread."""
        # Once the trio run is over, nobody waits.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._finish, batch, seconds, failure)

    def _notice_soon(self, what: str) -> None:
        """Something is new. Runs in any thread."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._notice, what)

    def failure(self) -> StoreDamaged:
        """See `daemon.ledger.drivers.port.Database`.

        The tables are of a version that the next start could not work with either.
        """
        return StoreDamaged(self.fatal_error)

    def _fail_soon(self, why: str) -> None:
        """This node cannot go on. Runs in any thread."""
        self.fatal_error = why
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.failed.set)

    def _notice(self, what: str) -> None:
        event = self._notices.pop(what, None)
        if event is not None:
            event.set()

    def _finish(self, batch: Batch, seconds: float, failure: str) -> None:
        self._last_write_error = failure
        if not failure:
            self._ownership.trouble = ""
        self.commits += 1
        for write in batch:
            write.done.set()
        if self._meter is not None:
            self._meter.committed(rows=len(batch), seconds=seconds)
