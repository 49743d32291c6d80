"""What the ledger asks of a database engine, so that a second one can stand behind it.

Policy stays above: an engine runs what it is given, in a transaction or beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Cursor(Protocol):
    """The rows that one statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that was inserted last."""

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        """The columns of the rows, each with its name first."""

    def close(self) -> None:
        """Read no more rows."""

    def __iter__(self) -> Iterator[Any]:
        """Give the rows that are left, one by one."""

    def __next__(self) -> Any:
        """Return the next row; raises StopIteration if there is none."""


class Connection(Protocol):
    """One connection to the database, for the length of a query or transaction.

    It is used in the engine's thread only, and by nobody who does not hold it.
    """

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run one statement; ``?`` or ``:name`` stands for a parameter."""

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        """Run one statement for each of many sets of parameters."""


class Database(Protocol):
    """An open database. Any task of the trio run that opened it may call it."""

    async def read(self, query: Callable[[Any], T]) -> T:
        """Run a function on a connection that changes nothing; it sees all that is committed.

        Raises StoreUnavailable.
        """

    async def write(self, transaction: Callable[[Any], T]) -> T:
        """Run a function inside a transaction and return once it is durable.

        It may be undone and run once more. Raises StoreUnavailable if it is not stored.
        """
