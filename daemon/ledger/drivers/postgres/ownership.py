"""Who may write: one process at a time has the ledger, and each of its writes proves that it does.

Two things together. A session lock of the server keeps a second daemon from starting while one
lives; it goes with the connection that took it. The fence is the row of each number: a new owner
raises its epoch, and every write first locks the rows of its numbers with the epoch that the writer
knows. So a process that was replaced stores nothing any more, whatever it still believes, and two
writers never work on the same number at once.
"""

import contextlib
import threading
from collections.abc import Collection

import psycopg

from daemon.errors import StoreError, StoreInUse
from daemon.ledger.drivers.postgres.connection import Psycopg, connect

LEDGER = 0x5265_6361_646F
"""The key of the session lock; such locks are of one database."""

Numbers = tuple[str, ...] | None
"""The numbers that a write is for: none of them, some, or None for all that the process has."""


_BEGIN = """BEGIN; SELECT pg_current_xact_id()::text;
SELECT number, epoch FROM numbers WHERE number = ANY(%s::text[]) AND owner = %s
ORDER BY number FOR UPDATE"""


class Lost(StoreError):
    """Another process has the ledger now."""


class Ownership:
    """What this process holds. Its methods block; any thread may call them."""

    def __init__(self, url: str, owner: str) -> None:
        """``owner`` names this process, unlike any other."""
        self._url = url
        self._owner = owner
        self._lock = threading.Lock()
        self._session: Psycopg | None = None
        self._epochs: dict[str, int] = {}

    def take(self) -> None:
        """Take the ledger's session lock.

        Raises StoreInUse if another process has it, psycopg.Error if the server cannot be used.
        """
        self._session = _locked_session(self._url)

    def keep(self) -> None:
        """Take the lock again if its connection has ended.

        Until the server notices that, the lock may still be our own old session's. Writes go on
        meanwhile: they have the fence. Raises psycopg.Error if the server cannot be used.
        """
        with self._lock:
            if self._session is not None:
                with contextlib.suppress(psycopg.Error):
                    self._session.execute("SELECT 1")
                    return
                self._session.close()
                self._session = None
            with contextlib.suppress(StoreInUse):
                self._session = _locked_session(self._url)

    @property
    def is_loose(self) -> bool:
        """Whether the session lock has been lost, and `keep` should be called again."""
        return self._session is None

    def claim(self, connection: Psycopg, numbers: Collection[str]) -> None:
        """Become the owner of these numbers, and of all that the ledger knows already.

        A row without a name is for a ledger that has no number yet.
        """
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM numbers ORDER BY number FOR UPDATE")
            cursor.executemany(
                "INSERT INTO numbers (number, owner, epoch) VALUES (%s, '', 0)"
                " ON CONFLICT (number) DO NOTHING",
                [(number,) for number in sorted({"", *numbers})],
            )
            cursor.execute(
                "UPDATE numbers SET owner = %s, epoch = epoch + 1 RETURNING number, epoch",
                (self._owner,),
            )
            self._epochs = dict(cursor.fetchall())

    def begin(self, connection: Psycopg, numbers: Numbers) -> str:
        """Begin a transaction that has these numbers for itself; give the server's number of it.

        Their rows are locked in one order, so that two writers do not wait for each other. Raises
        Lost if another process has one of them.
        """
        wanted = list(self._epochs if numbers is None else numbers)
        cursor = psycopg.ClientCursor(connection)  # one round trip
        cursor.execute(_BEGIN, (wanted, self._owner))
        cursor.nextset()
        ((transaction,),) = cursor.fetchall()
        cursor.nextset()
        held = {number for number, epoch in cursor if self._epochs.get(number) == epoch}
        if lost := set(wanted) - held:
            names = ", ".join(sorted(lost - {""})) or "the ledger"
            raise Lost(f"another process writes for {names} now")
        return str(transaction)

    def close(self) -> None:
        """Let another process have the ledger. Idempotent."""
        if self._session is not None:
            self._session.close()


def _locked_session(url: str) -> Psycopg:
    connection = connect(url)
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LEDGER]).fetchone()
    if row and row[0]:
        return connection
    holder = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    connection.close()
    raise StoreInUse("the database", str(holder[0]) if holder else "unknown")
