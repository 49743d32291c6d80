"""Where the ledger of a test is: the one place that knows which database the tests use.

``RECADO_TEST_STORE`` chooses it by its name in `DATABASES`. What a further database has to say for
itself is what `Sqlite` says.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path

from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.sqlite.database import Meter
from daemon.ledger.ledger import Store, open_store

Place = Path | Store
"""The data directory of a daemon, running or not, or a ledger that the test has open."""

VARIABLE = "RECADO_TEST_STORE"


class Sqlite:
    """A file in the data directory."""

    @staticmethod
    @contextmanager
    def connect(place: Place, *, read_only: bool = True) -> Iterator[Connection]:
        """Open a connection beside the daemon's; what it changes is committed at the end."""
        path = place / "recado.db" if isinstance(place, Path) else place.database.path
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        with closing(sqlite3.connect(address, uri=True)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection

    @staticmethod
    def url(data_dir: Path) -> str:  # noqa: ARG004 - a server has a database for each
        """The ``store.url`` of a daemon with this data directory; empty if it needs none."""
        return ""

    def is_made(self, data_dir: Path) -> bool:
        """Whether a daemon has come as far as to make its tables."""
        if not (data_dir / "recado.db").exists():
            return False
        query = "SELECT 1 FROM sqlite_schema WHERE name = 'messages'"
        with self.connect(data_dir) as connection:
            return connection.execute(query).fetchone() is not None

    def orphaned_rows(self, place: Place) -> int:
        """How many rows refer to one that is gone."""
        with self.connect(place) as connection:
            return len(connection.execute("PRAGMA foreign_key_check").fetchall())


DATABASES = {"sqlite": Sqlite()}


def database() -> Sqlite:
    """The database that this run of the tests uses."""
    return DATABASES[os.environ.get(VARIABLE, "sqlite")]


def variables_of_store(data_dir: Path) -> dict[str, str]:
    """What a process with this data directory needs in its environment to find its ledger."""
    url = database().url(data_dir)
    return {"RECADO_STORE__URL": url} if url else {}


def store_in(
    folder: Path, meter: Meter | None = None, *, clock: Callable[[], float] = time.perf_counter
) -> AbstractAsyncContextManager[Store, bool | None]:
    """Open the ledger of a folder as the daemon does."""
    return open_store(folder, clock=clock, meter=meter)
