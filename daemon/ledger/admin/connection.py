"""The connection of a command, which runs in a process of its own beside the daemon's."""

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from daemon.errors import StoreDamaged
from daemon.ledger.drivers.port import CliConnection
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
) -> AbstractContextManager[CliConnection]:
    """Open the existing store for the length of the block; creates nothing.

    Rows are known by place and by name. Raises StoreError if there is no store or it is of another
    version, StoreDamaged if it is no store, StoreUnavailable for whatever the database refuses
    inside the block.
    """
    if not url:
        return open_sqlite(data_dir, read_only=read_only)
    opened: AbstractContextManager[CliConnection] = postgres_driver().open_cli_connection(
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
