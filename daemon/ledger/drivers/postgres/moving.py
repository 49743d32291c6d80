"""PostgreSQL's side of moving a ledger; see `daemon.ledger.admin.move`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from daemon.errors import StoreDamaged, StoreInUse
from daemon.ledger.drivers.postgres.connection import connect, reason, storable_value
from daemon.ledger.drivers.postgres.tables import check_server, check_version, migrate

Row = tuple[Any, ...]
Psycopg = psycopg.Connection[Any]

OWN = frozenset({"ledger_version"})
"""The table that only this database has."""

READ_ROWS = 2_000
"""Rows fetched at once."""


class PostgresSide:
    """A `daemon.ledger.admin.move.StoreSide`."""

    def __init__(self, connection: Psycopg) -> None:
        self._connection = connection

    def tables(self) -> Mapping[str, Sequence[str]]:
        """See the protocol."""
        found: dict[str, list[str]] = {}
        for table, column in self._connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
            " AND is_generated = 'NEVER'"
        ):
            found.setdefault(table, []).append(column)
        return {name: columns for name, columns in found.items() if name not in OWN}

    def parents(self) -> Mapping[str, set[str]]:
        """See the protocol."""
        found: dict[str, set[str]] = {}
        for table, parent in self._connection.execute(
            "SELECT c.relname, p.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
            " JOIN pg_class p ON p.oid = k.confrelid WHERE k.contype = 'f'"
            " AND k.connamespace = current_schema()::regnamespace"
        ):
            found.setdefault(table, set()).add(parent)
        return found

    def count(self, table: str) -> int:
        """See the protocol."""
        return int(self._value("SELECT COUNT(*) FROM {}", table))

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """See the protocol."""
        query = sql.SQL("SELECT {} FROM {}").format(_listed(columns), sql.Identifier(table))
        with self._connection.cursor("moved", row_factory=psycopg.rows.tuple_row) as cursor:
            cursor.itersize = READ_ROWS
            yield from cursor.execute(query)

    def last_ids(self) -> Mapping[str, int]:
        """See the protocol."""
        found = {}
        for table, sequence in self._sequences().items():
            last, is_given = self._connection.execute(
                sql.SQL("SELECT last_value, is_called FROM {}").format(sequence)
            ).fetchone() or (0, False)
            if is_given:
                found[table] = int(last)
        return found

    def empty(self, table: str) -> None:
        """See the protocol."""
        self._connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    def storable(self, row: Row) -> Row:
        """See the protocol."""
        return tuple(map(storable_value, row))

    def fill(self, table: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
        """See the protocol."""
        place, query = sql.Identifier(table), sql.SQL("COPY {} ({}) FROM STDIN")
        self._connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(place))
        with (
            self._connection.cursor() as cursor,
            cursor.copy(query.format(place, _listed(columns))) as copy,
        ):
            for row in rows:
                copy.write_row(row)
        self._connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(place))

    def finish(self, last_ids: Mapping[str, int]) -> None:
        """See the protocol."""
        for table, sequence in self._sequences().items():
            last = max(last_ids.get(table, 0), self._highest(table))
            if last:
                self._connection.execute(
                    "SELECT setval(%s::regclass, %s)", [sequence.as_string(None), last]
                )
        self._connection.execute("ANALYZE")  # else the first plans know nothing of the tables

    def key(self, name: str) -> bytes:
        """A secret that all nodes share; empty if it is not there."""
        if "shared_keys" not in self.tables():
            return b""
        query = "SELECT value FROM shared_keys WHERE name = %s"
        row = self._connection.execute(query, [name]).fetchone()
        return bytes(row[0]) if row else b""

    def keep_key(self, name: str, value: bytes) -> None:
        """Store a secret that all nodes share, where there is a table for it."""
        if "shared_keys" in self.tables():
            self._connection.execute(
                "INSERT INTO shared_keys (name, value) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [name, value],
            )

    def _highest(self, table: str) -> int:
        column = self._identities()[table]
        query = sql.SQL("SELECT COALESCE(MAX({}), 0) FROM {}").format(
            sql.Identifier(column), sql.Identifier(table)
        )
        row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _identities(self) -> dict[str, str]:
        """The columns with numbers that the server gives, by table."""
        return dict(
            self._connection.execute(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = current_schema() AND is_identity = 'YES'"
            ).fetchall()
        )

    def _sequences(self) -> dict[str, sql.Identifier]:
        found = {}
        for table, column in self._identities().items():
            row = self._connection.execute(
                "SELECT pg_get_serial_sequence(quote_ident(%s), %s)", [table, column]
            ).fetchone()
            if row and row[0]:
                schema, _, name = row[0].partition(".")
                found[table] = sql.Identifier(schema.strip('"'), name.strip('"'))
        return found

    def _value(self, query: str, table: str) -> Any:
        text = sql.SQL(query).format(sql.Identifier(table))
        row = self._connection.execute(text).fetchone()
        return row[0] if row else None


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


@contextmanager
def postgres_source(url: str) -> Iterator[PostgresSide]:
    """Open a stopped ledger to be read. Raises StoreInUse if a daemon has it, or StoreError."""
    with _opened(url) as connection:
        check_version(connection, exactly=True)
        with connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            _begin(connection)
            yield PostgresSide(connection)


@contextmanager
def postgres_target(url: str) -> Iterator[PostgresSide]:
    """Open a ledger to be filled. What the block did is stored at its end, all of it or nothing."""
    with _opened(url) as connection:
        check_server(connection)
        migrate(connection)
        with connection.transaction():
            _begin(connection)
            yield PostgresSide(connection)


@contextmanager
def _opened(url: str) -> Iterator[Psycopg]:
    try:
        with closing(connect(url)) as connection:
            yield connection
    except psycopg.Error as error:
        raise StoreDamaged(f"the database cannot be used: {reason(error)}") from error


def _begin(connection: Psycopg) -> None:
    """Begin the transaction's work: no limits, and no node that owns a number or comes to."""
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(sql.SQL("SET LOCAL {} = 0").format(sql.Identifier(limit)))
    connection.execute("LOCK TABLE numbers IN EXCLUSIVE MODE")
    owner = connection.execute(
        "SELECT process FROM nodes WHERE until > extract(epoch FROM clock_timestamp()) LIMIT 1"
    ).fetchone()
    if owner:
        raise StoreInUse("the database", str(owner[0]))
