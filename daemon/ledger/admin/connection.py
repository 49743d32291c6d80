"""The connection of a command, which runs in a process of its own beside the daemon's."""

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from daemon.errors import StoreDamaged
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.sqlite.database import SqliteConnection
from daemon.ledger.drivers.sqlite.database import empty_log as empty_sqlite_log
from daemon.ledger.drivers.sqlite.database import transaction as sqlite_transaction
from daemon.ledger.drivers.sqlite.opening import STORE_FILE
from daemon.ledger.drivers.sqlite.opening import open_cli_connection as open_sqlite
from daemon.ledger.drivers.sqlite.opening import stored_version as sqlite_version


def postgres_driver(module: str = "opening") -> Any:
    """A module of the driver, imported late: only a cluster installs recado[postgres].

    Raises StoreDamaged if it is not installed.
    """
    try:
        return importlib.import_module(f"daemon.ledger.drivers.postgres.{module}")
    except ImportError as error:
        raise StoreDamaged(
            "store.url needs psycopg: pip install 'recado[postgres]', or make install EXTRAS=1"
        ) from error


def open_cli_connection(
    data_dir: Path, url: str = "", *, read_only: bool = False
) -> AbstractContextManager[Connection]:
    """Open the existing store for the length of the block; creates nothing.

    Rows are known by place and by name. Raises StoreError if there is no store or it is of another
    version, StoreDamaged if it is no store, StoreUnavailable for whatever the database refuses
    inside the block.
    """
    if not url:
        return open_sqlite(data_dir, read_only=read_only)
    opened: AbstractContextManager[Connection] = postgres_driver().open_cli_connection(
        url, read_only=read_only
    )
    return opened


def stored_version(data_dir: Path, url: str = "") -> int:
    """The version of the store's tables; 0: there is no store yet.

    Raises StoreError if it cannot be used, StoreUnavailable if it cannot be used now.
    """
    if url:
        return int(postgres_driver("tables").planned_upgrade(url).version)
    return sqlite_version(data_dir) if (data_dir / STORE_FILE).exists() else 0


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Make the block one transaction: all of it is stored, or nothing."""
    if isinstance(connection, SqliteConnection):
        with sqlite_transaction(connection):
            yield
        return
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def empty_log(connection: Connection) -> None:
    """Empty the write-ahead log, which holds deleted rows too; a server's is not ours.

    Raises StoreUnavailable.
    """
    if isinstance(connection, SqliteConnection):
        empty_sqlite_log(connection)
