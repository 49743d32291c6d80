"""The way into the store for a command: a short-lived connection beside the daemon's."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.errors import StoreDamaged, StoreError, StoreUnavailable
from daemon.ledger.migrations import latest_version

STORE_FILE = "recado.db"
LOCK_FILE = "recado.lock"
"""Both in the data folder, as `daemon.ledger.ledger.open_store` lays it out."""

BUSY_MILLISECONDS = 5000
"""How long a command waits for the daemon's transaction; those take milliseconds."""


@contextlib.contextmanager
def open_cli_connection(data_dir: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Open the existing store in ``data_dir`` for the length of the block; creates nothing.

    Rows are `sqlite3.Row`. Raises StoreError if there is no store or it is of another version,
    StoreDamaged if it is none, StoreUnavailable for whatever SQLite refuses inside the block.
    """
    path = data_dir / STORE_FILE
    if not path.is_file():
        raise StoreError(
            f"there is no store {path}: run the daemon once, or name the folder with --data-dir"
        )
    try:
        # mode=rw: never created. The index of a WAL file may have to be, so not mode=ro.
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        ) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            _check_version(connection, path)
            if read_only:
                connection.execute("PRAGMA query_only = ON")
            yield connection
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            raise StoreDamaged(f"{path} is not a store") from error
        raise StoreUnavailable(f"the store {path} cannot be used: {error}") from error


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    latest = latest_version()
    if version < latest:
        raise StoreError(
            f"the store {path} has version {version}, this Recado needs {latest}: start the daemon"
            " of this version once, it brings the store up to date"
        )
    if version > latest:
        raise StoreError(
            f"the store {path} has version {version}, this Recado knows {latest}: use the Recado"
            " that the daemon runs"
        )


def marks(values: Sequence[object]) -> str:
    """Placeholders for the values of an SQL list: ``?, ?, ?``."""
    return ", ".join("?" for _ in values)
