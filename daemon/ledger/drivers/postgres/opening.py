"""Opens the ledger on PostgreSQL: the server is reached, and its tables are up to date."""

import contextlib
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from functools import partial

import psycopg
import trio

from daemon.domain.progress import Progress, unwatched
from daemon.domain.transitions import leases
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import StoreDamaged, StoreUnavailable
from daemon.ledger.drivers.port import Meter
from daemon.ledger.drivers.postgres.connection import (
    PostgresConnection,
    connect,
    named_row,
    reason,
)
from daemon.ledger.drivers.postgres.database import PostgresDatabase
from daemon.ledger.drivers.postgres.ownership import Ownership
from daemon.ledger.drivers.postgres.tables import check_server, check_version, migrate

CONNECT_EVERY_SECONDS = 1.0
"""Between two tries to reach a server that is away."""

_REFUSED = re.compile("authentication failed|does not exist|no pg_hba.conf entry|invalid")
"""In what a server says that does not pass by itself: a person has to act."""


@contextlib.asynccontextmanager
async def open_postgres(
    url: str,
    *,
    clock: Callable[[], float],
    meter: Meter | None = None,
    terms: NodeTerms,
    numbers: Collection[str] = (),
    waits: Callable[[str], None] = lambda _why: None,
    upgrading: Progress = unwatched,
) -> AsyncIterator[PostgresDatabase]:
    """Open the tables at ``url`` as a node, which owns its share of these numbers.

    ``clock`` measures durations, in seconds. ``waits`` gets the reason why the server cannot be
    reached, which is tried again; ``upgrading`` the steps that bring older tables up to date, in a
    thread. Raises StoreDamaged if the server cannot be used, is too old, or
    has tables of a later version.
    """
    process = f"{socket.gethostname()} {os.getpid()}"
    ownership = Ownership(url, process, terms, numbers)
    database = PostgresDatabase(url, ownership, clock=clock, meter=meter)
    try:
        await _until_reached(partial(_open, url, database, upgrading), waits)
        yield database
    finally:
        await database.close()


async def _open(url: str, database: PostgresDatabase, upgrading: Progress) -> None:
    """Prepare the tables, and take part. Raises StoreDamaged or StoreUnavailable."""
    try:
        await trio.to_thread.run_sync(_prepare, url, upgrading, abandon_on_cancel=True)
    except psycopg.Error as error:
        why = f"cannot open the database: {reason(error)}"
        if not isinstance(error, psycopg.OperationalError) or _REFUSED.search(why):
            raise StoreDamaged(why) from error
        raise StoreUnavailable(why) from error
    await database.take_part()


async def _until_reached(step: Callable[[], Awaitable[None]], waits: Callable[[str], None]) -> None:
    """Try until the store is there; ``waits`` gets the reason why it is not, when it changes."""
    reported = ""
    while True:
        try:
            await step()
        except StoreUnavailable as error:
            if str(error) != reported:
                reported = str(error)
                waits(reported)
        else:
            return
        await trio.sleep(CONNECT_EVERY_SECONDS)


def _prepare(url: str, upgrading: Progress) -> None:
    """Check the server, and bring the tables up to date."""
    with contextlib.closing(connect(url)) as connection:
        check_server(connection)
        migrate(connection, upgrading)


def clock_ahead(url: str, now: Callable[[], float]) -> float:
    """How many seconds our clock is ahead of the server's; 0: they are in step.

    ``now``: our clock, Unix seconds. Blocks; raises StoreUnavailable.
    """
    try:
        with contextlib.closing(connect(url, read_only=True)) as connection:
            asked_at = now()
            sql = "SELECT extract(epoch FROM clock_timestamp())::float8"
            ((theirs,),) = connection.execute(sql).fetchall()
            return leases.clock_ahead(asked_at, now(), theirs)
    except psycopg.Error as error:
        raise StoreUnavailable(f"the database cannot be used: {reason(error)}") from error


class PostgresCliConnection(PostgresConnection):
    """A `daemon.ledger.drivers.port.CliConnection`."""

    def transaction(self) -> contextlib.AbstractContextManager[psycopg.Transaction]:
        """See the port."""
        return self.psycopg.transaction()

    def empty_log(self) -> None:
        """See the port."""


@contextlib.contextmanager
def open_cli_connection(url: str, *, read_only: bool = False) -> Iterator[PostgresCliConnection]:
    """Open the existing tables for the length of a command's block; creates nothing.

    Raises StoreError if there are none or they are of another version, StoreUnavailable for
    whatever the server refuses inside the block.
    """
    try:
        with contextlib.closing(connect(url, read_only=read_only)) as connection:
            connection.row_factory = named_row
            check_version(connection)
            yield PostgresCliConnection(connection)
    except psycopg.Error as error:
        raise StoreUnavailable(f"the database cannot be used: {reason(error)}") from error
