"""Opening the store's file: for the daemon, which owns it, and for a command beside the daemon.

One process owns a store, by a lock that the kernel releases when the process dies.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import trio

from daemon.domain.progress import Progress, unwatched
from daemon.errors import StoreDamaged, StoreError, StoreInUse, StoreUnavailable
from daemon.ledger.drivers.port import Meter
from daemon.ledger.drivers.sqlite.database import (
    SqliteConnection,
    SqliteDatabase,
    connect,
    empty_log,
    transaction,
)
from daemon.ledger.drivers.sqlite.soundness import check_first
from daemon.ledger.migrations import latest_version, migrate
from daemon.system.private_files import make_folder, new_file

STORE_FILE = "recado.db"
LOCK_FILE = "recado.lock"
"""Both in the data folder."""

LOCK_SECONDS, LOCK_EVERY_SECONDS = 1.0, 0.005
"""How long the start tries to lock the store, and how often: without a daemon, `recado forget`
holds the lock for a slice at a time."""

BUSY_MILLISECONDS = 5000
"""How long a command waits for the daemon's transaction; those take milliseconds."""


@contextlib.asynccontextmanager
async def open_database(
    path: Path,
    *,
    clock: Callable[[], float],
    meter: Meter | None = None,
    upgrading: Progress = unwatched,
) -> AsyncIterator[SqliteDatabase]:
    """Open the store's file for this process alone; creates file and folder if they are missing.

    ``clock`` measures durations, in seconds. ``upgrading`` gets the steps that bring older tables
    up to date, in a thread. Raises StoreInUse if another process has the store, StoreDamaged if it
    cannot be opened, is not sound, or is of a later version.
    """
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StoreDamaged(f"cannot create {path.parent}: {error.strerror}") from error
    async with _owned_soon(path.with_suffix(".lock")):
        await _prepare(path, upgrading)
        database = SqliteDatabase(path, clock=clock, meter=meter)
        try:
            yield database
        finally:
            await database.close()


@contextlib.contextmanager
def owned(lock_file: Path) -> Iterator[None]:
    """Hold the store's lock; raises StoreInUse, naming the holder, if another process has it."""
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreDamaged(f"cannot open {lock_file}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise StoreInUse(lock_file.parent, holder) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _owned_soon(lock_file: Path) -> AsyncIterator[None]:
    """Hold the store's lock; a command may have it for moments. Raises StoreInUse."""
    deadline = trio.current_time() + LOCK_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(owned(lock_file))
                break
            except StoreInUse:
                if trio.current_time() > deadline:
                    raise
            await trio.sleep(LOCK_EVERY_SECONDS)
        yield


async def _prepare(path: Path, upgrading: Progress) -> None:
    """Make the file ready in a thread. If this is cancelled it stops there, and nothing is lost."""
    opened: list[sqlite3.Connection] = []
    try:
        await trio.to_thread.run_sync(_made_ready, path, opened, upgrading, abandon_on_cancel=True)
    except trio.Cancelled:
        for connection in opened:
            with contextlib.suppress(sqlite3.Error):  # it may be closed by now
                connection.interrupt()
        raise


def _made_ready(path: Path, opened: list[sqlite3.Connection], upgrading: Progress) -> None:
    """Create the file if it is missing, migrate its tables, and check it unless it is large.

    ``opened`` receives the connection, which may be interrupted meanwhile.
    """
    try:
        with contextlib.suppress(FileExistsError):
            new_file(path).close()  # SQLite gives the files beside it the same mode
        with contextlib.closing(connect(path)) as connection:
            opened.append(connection)
            migrate(connection, upgrading)
            check_first(connection, path)
    except (sqlite3.Error, OSError) as error:
        raise StoreDamaged(f"cannot open the store {path}: {error}") from error


class SqliteCliConnection(SqliteConnection):
    """A `daemon.ledger.drivers.port.CliConnection`."""

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """See the port."""
        return transaction(self)

    def empty_log(self) -> None:
        """See the port."""
        empty_log(self)


@contextlib.contextmanager
def open_cli_connection(
    data_dir: Path, *, read_only: bool = False
) -> Iterator[SqliteCliConnection]:
    """Open the existing store in ``data_dir`` for the length of the block; creates nothing.

    It does not take the lock, so a daemon may be running. Rows are `sqlite3.Row`. Raises StoreError
    if there is no store or it is of another version, StoreDamaged if the file is no store,
    StoreUnavailable for whatever SQLite refuses inside the block.
    """
    with _connected(data_dir / STORE_FILE) as connection:
        check_version(connection, data_dir / STORE_FILE)
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        yield connection


def stored_version(data_dir: Path) -> int:
    """The version of the store in ``data_dir``; raises as `open_cli_connection` does."""
    with _connected(data_dir / STORE_FILE) as connection:
        return _version(connection)


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[SqliteCliConnection]:
    if not path.is_file():
        raise StoreError(
            f"there is no store {path}: run the daemon once, or name the folder with --data-dir"
        )
    try:
        # mode=rw: never created. SQLite may have to create the index of the WAL, so not mode=ro.
        with contextlib.closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                factory=SqliteCliConnection,
            )
        ) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            yield connection
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            raise StoreDamaged(f"{path} is not a store") from error
        raise StoreUnavailable(f"the store {path} cannot be used: {error}") from error


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError if the store is not of this version."""
    version, latest = _version(connection), latest_version()
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


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
