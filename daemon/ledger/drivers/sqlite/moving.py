"""SQLite's side of moving a ledger; see `daemon.ledger.admin.move`."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from daemon.errors import StoreDamaged, StoreError
from daemon.ledger.drivers.sqlite.database import connect
from daemon.ledger.drivers.sqlite.opening import LOCK_FILE, STORE_FILE, check_version, owned
from daemon.ledger.migrations import migrate
from daemon.system.private_files import make_folder, new_file

Row = tuple[Any, ...]


class SqliteSide:
    """A `daemon.ledger.admin.move.StoreSide`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def tables(self) -> Mapping[str, Sequence[str]]:
        """See the protocol."""
        names = self._names(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
        columns = "SELECT name FROM pragma_table_info(?)"
        return {name: self._names(columns, name) for name in names}

    def parents(self) -> Mapping[str, set[str]]:
        """See the protocol."""
        referred = 'SELECT "table" FROM pragma_foreign_key_list(?)'
        return {name: set(self._names(referred, name)) for name in self.tables()}

    def count(self, table: str) -> int:
        """See the protocol."""
        return int(self._connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0])

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """See the protocol."""
        return iter(self._connection.execute(f'SELECT {_listed(columns)} FROM "{table}"'))

    def last_ids(self) -> Mapping[str, int]:
        """See the protocol."""
        return dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())

    def empty(self, table: str) -> None:
        """See the protocol."""
        self._connection.execute(f'DELETE FROM "{table}"')

    def storable(self, row: Row) -> Row:
        """See the protocol."""
        return row

    def fill(self, table: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
        """See the protocol."""
        places = ", ".join("?" * len(columns))
        self._connection.executemany(
            f'INSERT INTO "{table}" ({_listed(columns)}) VALUES ({places})', rows
        )

    def finish(self, last_ids: Mapping[str, int]) -> None:
        """See the protocol."""
        for (name,) in self._connection.execute("SELECT name FROM sqlite_sequence").fetchall():
            if name in last_ids:
                self._connection.execute(
                    "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?",
                    (last_ids[name], name),
                )
        given = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_sequence")}
        counting = self._names("SELECT name FROM sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%'")
        self._connection.executemany(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
            [(name, last_ids[name]) for name in counting if name in set(last_ids) - given],
        )
        indexes = self._names(
            "SELECT name FROM sqlite_schema WHERE sql LIKE '%USING fts5 %content %'"
            " AND sql NOT LIKE '%content = ''''%'"  # that one is filled by the daemon
        )
        for name in indexes:
            self._connection.execute(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")

    def _names(self, sql: str, *values: str) -> list[str]:
        return [str(row[0]) for row in self._connection.execute(sql, values)]


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


@contextmanager
def sqlite_source(data_dir: Path) -> Iterator[SqliteSide]:
    """Open a stopped store to be read. Raises StoreInUse if a daemon has it, or StoreError."""
    path = data_dir / STORE_FILE
    if not path.is_file():
        raise StoreError(f"there is no store {path}: name its folder with --data-dir")
    with owned(data_dir / LOCK_FILE), _opened(path) as connection:
        check_version(connection, path)
        connection.execute("BEGIN")
        yield SqliteSide(connection)
        connection.execute("ROLLBACK")


@contextmanager
def sqlite_target(data_dir: Path) -> Iterator[SqliteSide]:
    """Open a store to be filled; made if it is missing. What the block did is stored at its end."""
    path = data_dir / STORE_FILE
    make_folder(data_dir)
    with owned(data_dir / LOCK_FILE):
        if not path.exists():
            new_file(path).close()
        with _opened(path) as connection:
            migrate(connection)
            # What they would derive is among the rows.
            triggers = connection.execute(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            yield SqliteSide(connection)
            for _, sql in triggers:
                connection.execute(sql)
            connection.execute("COMMIT")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreDamaged(f"the store {path} cannot be used: {error}") from error
