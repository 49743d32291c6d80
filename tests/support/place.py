"""The ledger of a test, and the choice of its database.

``TEST_STORE`` chooses it by its name in `DATABASES`. What a further database has to say for
itself is what `Sqlite` says.
"""

import atexit
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from daemon.ledger.admin.connection import open_cli_connection
from daemon.ledger.drivers.port import CliConnection, Connection, Meter
from daemon.ledger.drivers.postgres.connection import PostgresConnection, connect
from daemon.ledger.drivers.postgres.tables import migrate
from daemon.ledger.drivers.sqlite.database import SqliteConnection, SqliteDatabase
from daemon.ledger.drivers.sqlite.database import connect as connect_file
from daemon.ledger.drivers.sqlite.opening import STORE_FILE
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.migrations import latest_version
from daemon.ledger.migrations import migrate as migrate_file
from daemon.system.private_files import make_folder, new_file
from support.emptied import Emptied
from support.postgres import PostgresServer, binaries, running_postgres

Place = Path | Store
"""The data directory of a daemon, running or not, or a ledger that the test has open."""

VARIABLE = "TEST_STORE"


class Sqlite:
    """A file in the data directory."""

    def __init__(self) -> None:
        self._empty = b""

    def prepare(self, data_dir: Path) -> None:
        """Let a data directory that has no ledger have an empty one: to make its tables takes long.

        Tests of the first start do without this.
        """
        path = data_dir / STORE_FILE
        if path.exists():
            return
        if not self._empty:
            with TemporaryDirectory() as folder:
                made = Path(folder) / STORE_FILE
                with closing(connect_file(made)) as connection:
                    migrate_file(connection)
                self._empty = made.read_bytes()
        make_folder(data_dir)
        with new_file(path) as file:
            file.write(self._empty)

    @staticmethod
    @contextmanager
    def connect(place: Place, *, read_only: bool = True) -> Iterator[Connection]:
        """Open a connection beside the daemon's; what it changes is committed at the end."""
        folder = place if isinstance(place, Path) else place.data_dir
        path = folder / STORE_FILE
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        opened = sqlite3.connect(address, uri=True, factory=SqliteConnection)
        with closing(opened) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection

    @staticmethod
    def url(data_dir: Path) -> str:  # noqa: ARG004 - a server has a database for each
        """The ``store.url`` of a daemon with this data directory; empty if it needs none."""
        return ""

    def set_version(self, data_dir: Path, version: int) -> None:
        """Let the tables be of another version."""
        with self.connect(data_dir, read_only=False) as connection:
            connection.execute(f"PRAGMA user_version = {version}")

    def is_made(self, data_dir: Path) -> bool:
        """Whether a daemon has come as far as to make all its tables."""
        if not (data_dir / STORE_FILE).exists():
            return False
        with self.connect(data_dir) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return int(version) == latest_version()

    def orphaned_rows(self, place: Place) -> int:
        """How many rows refer to one that is gone."""
        with self.connect(place) as connection:
            return len(connection.execute("PRAGMA foreign_key_check").fetchall())


class Postgres:
    """A database of a private server for each data directory."""

    def __init__(self) -> None:
        self._urls: dict[Path, str] = {}
        self._server: PostgresServer | None = None
        self._template = ""
        self._emptied: Emptied | None = None
        self._made: set[str] = set()

    def prepare(self, data_dir: Path) -> None:
        """Nothing: its database has the tables from the beginning."""

    @contextmanager
    def connect(self, place: Place, *, read_only: bool = True) -> Iterator[PostgresConnection]:
        """Open a connection beside the daemon's."""
        folder = place if isinstance(place, Path) else place.data_dir
        with closing(connect(self.url(folder), read_only=read_only)) as connection:
            yield PostgresConnection(connection)

    def url(self, data_dir: Path) -> str:
        """The ``store.url`` of a daemon with this data directory; made if need be."""
        data_dir = data_dir.absolute()
        if data_dir not in self._urls:
            emptied = self._emptied.take() if self._emptied else ""
            self._urls[data_dir] = emptied or self.new()
        return self._urls[data_dir]

    def new(self) -> str:
        """The address of a database that no test has used: its tables have no pages yet."""
        server = self._running()
        url = server.url(server.create(self._template))
        self._made.add(url)
        return url

    def release(self, folder: Path) -> None:
        """Let later tests have the databases of one that has ended: to make one takes long."""
        for data_dir in [known for known in self._urls if known.is_relative_to(folder)]:
            url = self._urls.pop(data_dir)
            if self._emptied and url in self._made:
                self._emptied.give(url)

    def adopt(self, data_dir: Path, url: str) -> None:
        """Let a data directory have a database of a server that the test has started."""
        self._urls[data_dir.absolute()] = url

    def set_version(self, data_dir: Path, version: int) -> None:
        """Let the tables be of another version, which no other one can work with."""
        with self.connect(data_dir, read_only=False) as connection:
            connection.execute(
                "UPDATE ledger_version SET version = ?, oldest = ?", (version, version)
            )

    def is_made(self, data_dir: Path) -> bool:
        """Whether a daemon has come as far as to make its tables: they are in the template."""
        return data_dir.absolute() in self._urls

    def orphaned_rows(self, place: Place) -> int:  # noqa: ARG002 - PostgreSQL always looks
        """None: the server refuses them."""
        return 0

    def _running(self) -> PostgresServer:
        """The server of this test process; it ends with it."""
        if self._server is None:
            programs = binaries()
            if programs is None:
                pytest.skip("needs PostgreSQL 15: apt-get install postgresql")
            running = running_postgres(programs)
            self._server = running.__enter__()
            atexit.register(running.__exit__, None, None, None)
            self._template = self._server.create()
            with closing(connect(self._server.url(self._template))) as connection:
                migrate(connection)
            self._emptied = Emptied(self._server.url(self._template))
        return self._server


SQLITE, POSTGRES = Sqlite(), Postgres()
DATABASES: dict[str, Sqlite | Postgres] = {"sqlite": SQLITE, "postgres": POSTGRES}


def database() -> Sqlite | Postgres:
    """The database that this run of the tests uses."""
    return DATABASES[os.environ.get(VARIABLE, "sqlite")]


SHORT_LEASE = {"RECADO_NODE__LEASE_SECONDS": "1", "RECADO_WHAPI__TIMEOUT_SECONDS": "4"}
"""After a kill the next process waits for the end of a lease, and for that of a call."""


def variables_of_store(data_dir: Path) -> dict[str, str]:
    """Environment variables by which a command with this data directory finds its ledger."""
    url = database().url(data_dir)
    return {"RECADO_STORE__URL": url} if url else {}


def variables_of_daemon(data_dir: Path) -> dict[str, str]:
    """Those of a daemon, which is to be followed soon after its end."""
    store = variables_of_store(data_dir)
    return store | SHORT_LEASE if store else {}


def store_in(
    folder: Path, meter: Meter | None = None, *, clock: Callable[[], float] = time.perf_counter
) -> AbstractAsyncContextManager[Store, bool | None]:
    """Open the ledger of a folder as the daemon does."""
    database().prepare(folder)
    return open_store(folder, url=database().url(folder), clock=clock, meter=meter)


def sqlite_of(store: Store) -> SqliteDatabase:
    """The database of a ledger that is known to be SQLite's: for tests of SQLite itself."""
    assert isinstance(store.database, SqliteDatabase)
    return store.database


def cli_connection(
    data_dir: Path, *, read_only: bool = False
) -> AbstractContextManager[CliConnection, bool | None]:
    """Open the ledger of a folder as a command does."""
    return open_cli_connection(data_dir, database().url(data_dir), read_only=read_only)
