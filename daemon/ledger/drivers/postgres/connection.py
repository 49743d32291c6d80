"""One connection to PostgreSQL as the ledger's methods see it.

The ledger writes SQL in the subset that SQLite and PostgreSQL share. What is left of the difference
is here: placeholders, text that PostgreSQL cannot store, and the types of some results.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict

from daemon.ledger.drivers.port import Cursor
from daemon.ledger.drivers.postgres.text_index import PostgresTextIndex

CONNECT_SECONDS = 5
"""How long a connection may take to be made."""

STATEMENT_SECONDS = 30
"""No statement of ours takes so long unless the server is in trouble."""

LOCK_SECONDS = 10
"""How long a statement waits for another node's row lock."""

IDLE_SECONDS = 10
"""The server ends a transaction that its node has abandoned, so that its locks are free again."""

_TOKEN = re.compile(
    r"""
      ('(?:[^']|'')*' | "[^"]*" | --[^\n]*)   # left as it is, but for %
    | (\?)
    | (?<!:):([a-z_][a-z_0-9]*)
    | (%)
    """,
    re.VERBOSE,
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL as JSON writes it: PostgreSQL stores the text, but cannot read a value out of it."""


Psycopg = psycopg.Connection[tuple[Any, ...]]


class _Number(Loader):
    """Sums of integers are ``numeric`` in PostgreSQL: give them as Python's own numbers."""

    def load(self, data: bytes | bytearray | memoryview) -> int | float:
        """See `psycopg.adapt.Loader`."""
        number = Decimal(bytes(data).decode())
        return int(number) if number == number.to_integral_value() else float(number)


class Row(tuple[Any, ...]):
    """A row whose values are known by place and by name, as those of `sqlite3.Row`."""

    __slots__ = ()
    names: ClassVar[Mapping[str, int]]

    def __getitem__(self, key: Any) -> Any:
        """Return a value by place, slice or name."""
        return super().__getitem__(self.names[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        """Return the names of the columns, in their order."""
        return list(self.names)


def named_row(cursor: "psycopg.Cursor[Any]") -> Callable[[Sequence[Any]], Row]:
    """Make rows that are known by name too: a row factory of psycopg."""
    names = {column.name: place for place, column in enumerate(cursor.description or ())}
    return type("NamedRow", (Row,), {"names": names, "__slots__": ()})


class PostgresConnection:
    """A `daemon.ledger.drivers.port.Connection` over psycopg's."""

    def __init__(self, connection: Psycopg) -> None:
        self.psycopg = connection

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """Run one statement; ``?`` or ``:name`` stands for a parameter."""
        return self.psycopg.execute(_translated(sql), _storable(parameters))  # type: ignore[return-value]

    def executemany(
        self, sql: str, parameters: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> Cursor:
        """Run one statement for each of many sets of parameters, in one round trip."""
        cursor = self.psycopg.cursor()
        cursor.executemany(_translated(sql), [_storable(each) for each in parameters])
        return cursor  # type: ignore[return-value]

    @property
    def text_index(self) -> PostgresTextIndex:
        """The index of words."""
        return PostgresTextIndex(self)


def connect(url: str, *, read_only: bool = False, name: str = "") -> Psycopg:
    """Open a connection that begins no transaction by itself.

    What the URL's ``options`` set wins over our limits. Other nodes know by the ``name`` whose
    connections to end. Blocks; raises psycopg.OperationalError.
    """
    settings = {
        "statement_timeout": STATEMENT_SECONDS * 1000,
        "lock_timeout": LOCK_SECONDS * 1000,
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
        "default_transaction_read_only": "off",
        "timezone": "UTC",
    }
    given = conninfo_to_dict(url)
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "recado",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **given,
        "options": f"{ours} {given.get('options', '')}".strip(),
    }
    if name:
        parameters["application_name"] = f"recado {name}"
    connection = psycopg.connect(autocommit=True, **parameters)
    connection.adapters.register_loader("numeric", _Number)
    if read_only:  # not in the options: with target_session_attrs=read-write no server fits
        connection.execute("SET default_transaction_read_only = on")
    return connection


@lru_cache(maxsize=1024)
def _translated(sql: str) -> bytes:
    """The statement with psycopg's placeholders.

    Bytes: psycopg takes a str for a query only if it is a literal of the program.
    """

    def replace(match: re.Match[str]) -> str:
        kept, question, name, _percent = match.groups()
        if kept is not None:
            return kept.replace("%", "%%")
        if question:
            return "%s"
        return f"%({name})s" if name else "%%"

    return _TOKEN.sub(replace, _GLOB.sub(_like, sql)).encode()


_GLOB = re.compile(r"GLOB '([^']*)'")
"""SQLite's pattern, which it alone can look up in a partial index."""


def _like(match: re.Match[str]) -> str:
    return f"LIKE '{match[1].replace('*', '%')}'"


def _storable(parameters: Sequence[Any] | Mapping[str, Any]) -> Any:
    """The parameters as PostgreSQL takes them: no NUL, no lone surrogate, truth as an integer."""
    if isinstance(parameters, Mapping):
        return {name: storable_value(value) for name, value in parameters.items()}
    return [storable_value(value) for value in parameters]


def storable_value(value: object) -> object:
    """Return a value as PostgreSQL stores it: characters that it cannot store are marked."""
    if isinstance(value, str):
        if "\\u0000" in value:
            value = _JSON_NUL.sub(r"\1\\ufffd", value)
        return value if value.isprintable() else _UNSTORABLE.sub("\ufffd", value)
    return int(value) if isinstance(value, bool) else value


def reason(error: psycopg.Error) -> str:
    """What went wrong, without the values that PostgreSQL quotes in its details."""
    state = error.sqlstate or ""
    primary = error.diag.message_primary if state else str(error).splitlines()[0]
    return f"{primary} ({state})" if state else str(primary)
