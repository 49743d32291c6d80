"""The interface between the ledger and a database engine.

Policy stays above: an engine runs what it is given, inside a transaction or on a snapshot.

The ledger's methods use the SQL that SQLite and PostgreSQL share: ``INSERT … ON CONFLICT`` with
qualified columns, ``RETURNING`` for the ids of new rows, ``CASE`` for the greater of two values,
integers 0 and 1 for truth. Modules that need more belong to one engine, and
``tests/test_common_sql.py`` lists them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from functools import update_wrapper, wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

import trio

from daemon.domain.messages import ChatKey
from daemon.domain.search import SoughtWords
from daemon.errors import StoreError

T = TypeVar("T")
Result_co = TypeVar("Result_co", covariant=True)


class Cursor(Protocol):
    """The result of one statement. Rows are tuples, in the order of the columns."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the statement changed; of `Connection.executemany`, in all."""

    def fetchone(self) -> Any:
        """Return the next row; None if there is none. So is the row of a ``RETURNING`` read."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        """The columns of the rows, each with its name first."""

    def close(self) -> None:
        """Read no more rows."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the remaining rows, one by one."""

    def __next__(self) -> Any:
        """Return the next row; raises StopIteration if there is none."""


class TextIndex(Protocol):
    """The engine's index of words: of the passages of documents, and of the texts of all chats."""

    def passage_counts(self, terms: Sequence[str]) -> dict[str, int]:
        """How many passages, of all folders, have each term; a term that none has is left out."""

    def passages(self, terms: Sequence[str], *, folder: str, most: int, ranked: bool) -> list[int]:
        """The passages of a folder's documents that have any of these terms.

        ``ranked``: the best first; else in any order, which costs less.
        """

    def texts(
        self, words: SoughtWords, places: Sequence[str], *, since: int, below: int, most: int
    ) -> list[int]:
        """The texts with these words, the newest first; of one of these places, if there are any.

        Only those from id ``since`` on and ``below`` another.
        """

    def merge(self) -> None:
        """Keep the index in good order, after rows were added."""

    def purge(self, *, begin: bool) -> bool:
        """Take deleted words out of the index's bytes, a few pages at a time; False: it is done."""


class Connection(Protocol):
    """One connection to the database, for the length of a query or transaction.

    It is used in the engine's thread only, and only by its holder.
    """

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run one statement.

        A parameter is written ``?``, taken from a sequence in order, or ``:name``, taken from a
        mapping and used as often as needed; one statement uses one of the two. Parameters are
        None, integers, floats, text and bytes.
        """

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run one statement for each of many sets of parameters: the way to insert many rows."""

    @property
    def text_index(self) -> TextIndex:
        """The engine's index of words."""


class CliConnection(Connection, Protocol):
    """The connection of a command, which runs in a process of its own beside the daemon's."""

    def transaction(self) -> AbstractContextManager[Any]:
        """Make a block one transaction: all of it is stored, or nothing."""

    def empty_log(self) -> None:
        """Empty the write-ahead log, which holds deleted rows too; a server's is not ours.

        Raises StoreUnavailable.
        """


class Write(Protocol[Result_co]):
    """A function that runs inside a transaction; its name is for logs."""

    __qualname__: str

    def __call__(self, connection: Connection, /) -> Result_co:
        """Change the database, and nothing else: it may be undone and run again."""


class JointWrite(ABC, Generic[T]):
    """A write that can share statements with neighbours of its kind in one transaction.

    An engine that commits the writes of many tasks together may call `together` in their place.
    """

    @abstractmethod
    def __call__(self, connection: Connection, /) -> T:
        """Write this one."""

    @staticmethod
    @abstractmethod
    def together(connection: Connection, writes: Sequence[Any], /) -> Sequence[Any]:
        """Write these, in their order, and give their results.

        If it raises, everything is undone and each one is called by itself.
        """


class PendingWrite(Generic[T]):
    """A write in the hands of a writer's thread, which sets its ``result`` or its ``error``.

    No task waits for one that a `WriteSource` brings.
    """

    __slots__ = ("error", "operation", "result")

    def __init__(self, operation: Callable[[Any], T]) -> None:
        self.operation = operation
        self.result: T | None = None
        self.error: BaseException | None = None


class WriteSource(Protocol):
    """Brings writes to a writer's thread by sockets, without a task for each.

    The thread alone calls it, `committed` after some calls of `read`. Must not raise.
    """

    def read(self, descriptors: Sequence[int], /) -> Sequence[Any]:
        """Read from these descriptors, which are ready; gives the `PendingWrite`s that came."""

    def committed(self) -> None:
        """Answer what was read: it is stored, or has its error."""


class WriterThread(Protocol):
    """A writer's thread, and its way to the event loop, for a `WriteSource`."""

    def watch(self, descriptor: int, /) -> bool:
        """Have the source read from a descriptor whenever it is ready; False if one is closed.

        Any thread may call it.
        """

    def unwatch(self, descriptor: int, /) -> None:
        """Watch a descriptor no more. Any thread may call it."""

    def run_soon(self, function: Callable[[], object], /) -> None:
        """Have a function called in the event loop; it returns at once, without raising.

        They are called in order. Any thread may call it.
        """

    def run_later(self, function: Callable[[], object], /) -> None:
        """Do the same for what is not urgent: no sleeping event loop is woken for it at once.

        Called in the writer's thread.
        """


class Transactions(Protocol):
    """What the ledger's methods run in. Any task of the trio run that opened it may call it."""

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run a function on a connection that changes nothing; it sees all that is committed.

        Raises StoreUnavailable.
        """

    async def write(self, transaction: Callable[[Any], T]) -> T:
        """Run a function inside a transaction and return once it is durable.

        It may be undone and run again. Raises StoreUnavailable if it is not stored.
        """


class Database(Transactions, Protocol):
    """An open database.

    Nobody else writes for any number while one of its own writes runs; only the process that
    `leads` may make those.
    """

    def of(self, *numbers: str) -> Transactions:
        """The database for callers who write for these numbers only, or for none of them.

        On an engine with several writing connections others write meanwhile.
        """

    def receive(self, source: WriteSource) -> WriterThread | None:
        """Have the writer's thread take writes from a source too; None: this engine's does not."""

    def with_own_connection(self) -> Transactions:
        """The database for callers who write for no number, and who are to wait for nobody else.

        On an engine with several writing connections they have one of their own.
        """

    @property
    def leads(self) -> bool:
        """Whether this process does what belongs to no single number, and may write for all."""

    def settles_at(self, number: str) -> float:
        """From when on no send of its former owner is under way, on the boot clock; 0: now."""

    def lease_left(self, number: str) -> float:
        """For how many seconds no other process can have a number; 0 or less: one may."""

    @property
    def fatal_error(self) -> str:
        """Why the database cannot be used any more; empty while it can."""

    def failure(self) -> StoreError:
        """What a daemon ends with after a `fatal_error`: StoreDamaged if a new start fails too."""

    @property
    def failed(self) -> trio.Event:
        """Set once there is a `fatal_error`."""

    @property
    def last_write_error(self) -> str:
        """Why the last write was not stored; empty if it was. It may pass."""

    async def probe(self) -> None:
        """Test whether writes succeed again; does nothing if the last one did.

        Raises StoreUnavailable if they do not.
        """

    async def answer(self) -> None:
        """Return once every writer thread is alive, for the watchdog."""

    async def size_bytes(self) -> int:
        """How large the database is. Raises OSError or StoreUnavailable."""

    def wal_bytes(self) -> int:
        """Size of a write-ahead log that this process checkpoints; 0 if a server does that."""

    @property
    def commits(self) -> int:
        """Transactions since the last `checkpoint`."""

    async def checkpoint(self) -> int:
        """Copy the write-ahead log into the file, but what is read; gives the bytes that are left.

        Raises StoreUnavailable.
        """

    async def empty_log(self) -> None:
        """Empty the write-ahead log, which holds deleted rows too. Raises StoreUnavailable."""


class Cluster(Protocol):
    """What a database with several nodes knows of them."""

    @property
    def owned(self) -> frozenset[str]:
        """The numbers that this node owns, without those that other nodes are to have."""

    @property
    def leads(self) -> bool:
        """See `Database.leads`."""

    @property
    def is_alone(self) -> bool:
        """Whether no other node lives."""

    @property
    def namesake(self) -> str:
        """Another living process whose node has the same name; empty if there is none."""

    @property
    def clock_ahead(self) -> float:
        """How many seconds this machine's clock is ahead of the database's; 0: in step."""

    def epoch(self, number: str) -> int:
        """How often a number has changed hands; 0 if it is another node's."""

    def lease_left(self) -> float:
        """What is left of this node's lease, in seconds."""

    async def noticed(self, what: str) -> None:
        """Wait for the next notice of this kind, such as a table's name. Some may be missed."""

    async def release(self, number: str, *, is_finished: bool) -> None:
        """Hand a number over, after all that was written for it.

        ``is_finished``: no send for it is under way. Raises StoreUnavailable.
        """


class Meter(Protocol):
    """Receives the database's measurements, in the event loop's thread."""

    def committed(self, *, rows: int, seconds: float) -> None:
        """A transaction of ``rows`` writes took ``seconds``."""


def listed(words: Iterable[str]) -> str:
    """Constant words as an SQL list: ``'a', 'b'``.

    Partial indexes are used only where a query repeats their condition with constants.
    """
    return ", ".join(f"'{word}'" for word in words)


def named(cursor: Cursor) -> list[dict[str, Any]]:
    """The rows that are left, each by the names of its columns."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def keyed(cursor: Cursor) -> list[dict[str, Any]]:
    """As `named`, with a ``key`` in place of the columns ``channel`` and ``chat``."""
    rows = named(cursor)
    return [{"key": ChatKey(row.pop("channel"), row.pop("chat")), **row} for row in rows]


def marks(values: Sequence[object]) -> str:
    """Placeholders for the values of an SQL list: ``?, ?, ?``; of none, a list of nothing."""
    return ", ".join("?" * len(values)) or "NULL"


# -- the methods of the ledger: plain functions of a connection ------------------------------------


class Role:
    """The part of the ledger that one kind of caller uses.

    A method marked `query` or `transaction` is written as a plain function of a connection, which
    runs in the database's thread. Its caller awaits it, without the connection::

        class Turns(Role):
            @query
            def active(self, connection: Connection, key: ChatKey) -> Turn | None: ...


        turn = await turns.active(key)
    """

    def __init__(self, database: Transactions) -> None:
        self._database = database

    def over(self, database: Transactions) -> Self:
        """The same, over another way into the database."""
        other = copy(self)
        other._database = database  # noqa: SLF001 - its own
        return other


R = TypeVar("R", bound=Role)
P = ParamSpec("P")


def query(
    method: Callable[Concatenate[R, Connection, P], T],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Run a method on a connection that changes nothing. Raises StoreUnavailable."""

    @wraps(method)
    async def run(self: R, /, *arguments: P.args, **named: P.kwargs) -> T:
        def call(connection: Connection) -> T:
            return method(self, connection, *arguments, **named)

        call.__qualname__ = method.__qualname__  # for the crash harness and for logs
        return await self._database.read(call)

    return run


def transaction(
    method: Callable[Concatenate[R, Connection, P], T],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Run a method inside a transaction; durable on return. Raises StoreUnavailable.

    The method may be undone and run again, so it changes nothing but the database.
    """

    @wraps(method)
    async def run(self: R, /, *arguments: P.args, **named: P.kwargs) -> T:
        def call(connection: Connection) -> T:
            return method(self, connection, *arguments, **named)

        call.__qualname__ = method.__qualname__  # for the crash harness and for logs
        return await self._database.write(call)

    return run


def _method(
    function: Callable[Concatenate[Connection, P], T],
) -> Callable[Concatenate[Role, Connection, P], T]:
    def method(_: Role, connection: Connection, /, *args: P.args, **named: P.kwargs) -> T:
        return function(connection, *args, **named)

    return update_wrapper(method, function)


def reading(
    function: Callable[Concatenate[Connection, P], T],
) -> Callable[Concatenate[Role, P], Coroutine[Any, Any, T]]:
    """A `query` method of a `Role` that is a function of a module already."""
    return query(_method(function))


def writing(
    function: Callable[Concatenate[Connection, P], T],
) -> Callable[Concatenate[Role, P], Coroutine[Any, Any, T]]:
    """A `transaction` method of a `Role` that is a function of a module already."""
    return transaction(_method(function))
