"""Who may write: one node at a time has the ledger, and each of its writes proves that it does.

A node has the ledger for the time of a lease, and renews it. When that time is over, or the node
has handed it over, another one takes it and raises the epoch of each number. The fence is the row
of each number: every write first locks the rows of its numbers with the epoch that the writer
knows. So a process that was replaced stores nothing any more, whatever it still believes, and two
writers never work on the same number at once.
"""

import contextlib
import threading
from collections.abc import Callable, Collection

import psycopg
from psycopg.errors import LockNotAvailable

from daemon.domain.transitions import leases
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import StoreError
from daemon.ledger.drivers.postgres.connection import Psycopg, connect

LEDGER = ""
"""The row of the ledger itself, whose lease is that of all numbers."""

RETRY_SECONDS = 0.5
"""Between two tries to renew while the server does not answer."""

Numbers = tuple[str, ...] | None
"""The numbers that a write is for: none of them, some, or None for all that the process has."""

_NOW = "extract(epoch FROM clock_timestamp())::float8"

_BEGIN = """BEGIN; SELECT pg_current_xact_id()::text;
SELECT number, epoch FROM numbers WHERE number = ANY(%s::text[]) AND owner = %s
ORDER BY number FOR UPDATE"""


class Lost(StoreError):
    """Another node has the ledger now."""


class Ownership:
    """What this process holds. Its methods block; any thread may call them."""

    def __init__(self, url: str, process: str, terms: NodeTerms) -> None:
        """``process`` names this process, unlike any other."""
        self.process = process
        self.settles_at = 0.0
        """From when on no send of the former owner is under way, on the boot clock."""
        self.lost: Callable[[], None] = lambda: None
        """Called, by the thread that renews, when another node has the ledger."""
        self._url = url
        self._terms = terms
        self._epochs: dict[str, int] = {}
        self._asked_at: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def seconds_left(self) -> float:
        """For how long no other node can have the ledger; 0 or less: it may."""
        now = self._terms.boot_clock()
        return leases.seconds_left(self._asked_at, now, lease_seconds=self._terms.lease_seconds)

    @property
    def epoch(self) -> int:
        """How often the ledger has changed hands; 0 while this node does not have it."""
        return self._epochs.get(LEDGER, 0)

    def claim(self, connection: Psycopg, numbers: Collection[str]) -> bool:
        """Become the owner of these numbers, and of all that the ledger knows; False: not now.

        Of several nodes that try at once, one gets it.
        """
        asked_at = self._terms.boot_clock()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                was_handed_over = self._free(cursor)
                self._note(cursor, "standing by" if was_handed_over is None else "at work")
                if was_handed_over is None:
                    return False
                cursor.executemany(
                    "INSERT INTO numbers (number, owner, epoch) VALUES (%s, '', 0)"
                    " ON CONFLICT (number) DO NOTHING",
                    [(number,) for number in sorted(numbers)],
                )
                cursor.execute("SELECT 1 FROM numbers ORDER BY number FOR UPDATE")
                cursor.execute(
                    f"UPDATE numbers SET owner = %s, epoch = epoch + 1, until = {_NOW} + %s"
                    " RETURNING number, epoch",
                    (self.process, self._terms.lease_seconds),
                )
                epochs: dict[str, int] = dict(cursor.fetchall())
        except LockNotAvailable:
            return False  # the former owner stands inside a transaction, which the server ends
        self._epochs, self._asked_at = epochs, asked_at
        self.settles_at = leases.settles_at(
            self._terms.boot_clock(),
            was_handed_over=was_handed_over,
            call_seconds=self._terms.call_seconds,
        )
        self._thread.start()
        return True

    @staticmethod
    def _free(cursor: "psycopg.Cursor[tuple[object, ...]]") -> bool | None:
        """Lock the ledger's row: whether it was handed over; None if it cannot be had."""
        cursor.execute(
            "INSERT INTO numbers (number, owner, epoch) VALUES (%s, '', 0)"
            " ON CONFLICT (number) DO NOTHING",
            (LEDGER,),
        )
        cursor.execute(
            f"SELECT owner, until, {_NOW} FROM numbers WHERE number = %s FOR UPDATE SKIP LOCKED",
            (LEDGER,),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        owner, until, now = str(row[0]), float(str(row[1])), float(str(row[2]))
        return not owner if leases.is_free(owner, until, now) else None

    def _note(self, cursor: "psycopg.Cursor[tuple[object, ...]]", state: str) -> None:
        """Keep this node's row."""
        terms = self._terms
        cursor.execute(
            "INSERT INTO nodes (name, process, state, version, seen_at)"
            f" VALUES (%s, %s, %s, %s, {_NOW}) ON CONFLICT (name) DO UPDATE SET"
            " process = excluded.process, state = excluded.state, version = excluded.version,"
            " seen_at = excluded.seen_at",
            (terms.name, self.process, state, terms.version),
        )

    def begin(self, connection: Psycopg, numbers: Numbers) -> str:
        """Begin a transaction that has these numbers for itself; give the server's number of it.

        Their rows are locked in one order, so that two writers do not wait for each other. Raises
        Lost if another process has one of them.
        """
        wanted = list(self._epochs if numbers is None else numbers)
        cursor = psycopg.ClientCursor(connection)  # one round trip
        cursor.execute(_BEGIN, (wanted, self.process))
        cursor.nextset()
        ((transaction,),) = cursor.fetchall()
        cursor.nextset()
        held = {number for number, epoch in cursor if self._epochs.get(number) == epoch}
        if lost := set(wanted) - held:
            names = ", ".join(sorted(lost - {""})) or "the ledger"
            raise Lost(f"another node writes for {names} now")
        return str(transaction)

    def close(self) -> None:
        """Hand the ledger over to another node, if this one has it. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._asked_at = None
        with contextlib.suppress(psycopg.Error), contextlib.closing(connect(self._url)) as server:
            server.execute(
                "UPDATE numbers SET owner = '', until = 0 WHERE owner = %s", (self.process,)
            )
            server.execute("DELETE FROM nodes WHERE process = %s", (self.process,))

    # -- in the thread that renews -----------------------------------------------------------------

    def _keep(self) -> None:
        """Renew the lease until it is handed over, or another node has it."""
        connection: Psycopg | None = None
        wait = leases.renewal_seconds(self._terms.lease_seconds)
        while not self._ended.wait(wait):
            wait = leases.renewal_seconds(self._terms.lease_seconds)
            try:
                if connection is None or connection.closed:
                    connection = connect(self._url)
                if not self._renew(connection):
                    self._asked_at = None
                    self.lost()
                    break
            except psycopg.Error:
                wait = min(wait, RETRY_SECONDS)
        if connection is not None:
            connection.close()

    def _renew(self, connection: Psycopg) -> bool:
        asked_at = self._terms.boot_clock()
        renewed = connection.execute(
            f"UPDATE numbers SET until = {_NOW} + %s"
            " WHERE number = %s AND owner = %s AND epoch = %s",
            (self._terms.lease_seconds, LEDGER, self.process, self.epoch),
        ).rowcount
        if renewed:
            self._asked_at = asked_at
            self._note(connection.cursor(), "at work")
        return bool(renewed)
