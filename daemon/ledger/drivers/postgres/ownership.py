"""Which numbers this node owns: a lease, and a fence that each write proves.

A node renews one lease, its row in ``nodes``. A number's row in ``numbers`` names the process that
owns it, with an epoch which a new owner raises. A node whose lease is over loses what it owns: the
others delete its row, which it then cannot renew any more, and claim its numbers. All nodes decide
by the same rows how many numbers each of them has.

The fence is the row of a number: every write first locks the rows of its numbers with the owner and
the epoch that the writer knows. So a process that was replaced stores nothing any more, whatever it
still believes, and two writers never work on the same number at once. The row of the ledger itself,
the number without a name, is for work that belongs to no single number: its owner *leads*. Of nodes
of different versions only one that knows the newest tables leads: an older one would not find all
rows of a person who is to be forgotten.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import psycopg

from daemon.domain.transitions import leases
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import StoreDamaged, StoreError
from daemon.ledger.drivers.postgres.connection import Psycopg, connect, reason
from daemon.ledger.drivers.postgres.tables import tables_of
from daemon.ledger.migrations import latest_version

LEDGER = ""
"""The number of what belongs to no single number."""

LOOK_SECONDS = 0.5
"""Between two looks for numbers that can be had, or are to be handed over."""

CHANNEL = "recado"
"""Of the notices that nodes send each other; the payload names what has changed."""

UNFINISHED = "unfinished"
"""The owner of a number that was handed over in the middle of its work; no process is called so."""

OWNERSHIP = "numbers"
"""The notice that a number can be had."""

Numbers = tuple[str, ...] | None
"""The numbers that a write is for: none of them, some, or None for all that the ledger has."""

_NOW = "extract(epoch FROM clock_timestamp())::float8"

_BEGIN = """BEGIN; SELECT pg_current_xact_id()::text;
SELECT number, owner, epoch FROM numbers WHERE number = ANY(%s::text[])
ORDER BY number FOR UPDATE"""

_BEGIN_ALL = """BEGIN; SELECT pg_current_xact_id()::text;
SELECT number, owner, epoch FROM numbers ORDER BY number FOR UPDATE"""

_LOCK = """SELECT number, owner FROM numbers WHERE number = ANY(%s)
ORDER BY number LIMIT %s FOR UPDATE SKIP LOCKED"""


_GIVE_UP = f"""WITH over AS (DELETE FROM nodes WHERE until <= {_NOW} RETURNING process)
SELECT pg_terminate_backend(pid) FROM over JOIN pg_stat_activity
ON application_name LIKE 'recado _%' AND strpos(process, substr(application_name, 8)) > 0
WHERE usename = current_user AND pid != pg_backend_pid()"""
"""Deletes the nodes whose lease is over, and ends what they have under way. Such a transaction may
hold rows for as long as its node stands still: the server's limits do not see a client that pauses
between the statements of a batch."""


class Lost(StoreError):
    """Another node has these numbers now."""

    def __init__(self, numbers: Collection[str]) -> None:
        names = ", ".join(sorted(set(numbers) - {LEDGER})) or "the ledger"
        super().__init__(f"another node writes for {names} now")
        self.numbers = frozenset(numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedNumber:
    """A number that this node owns."""

    epoch: int
    settles_at: float
    """From when on no send of the former owner is under way, on the boot clock; 0: now."""


class Ownership:
    """What this node owns. Its methods block, but for the properties; any thread may call them."""

    def __init__(self, url: str, process: str, terms: NodeTerms, numbers: Collection[str]) -> None:
        """``process`` names this process, unlike any other. ``numbers``: those of ours."""
        self.noticed: Callable[[str], None] = lambda _what: None
        """Called by the thread of the lease: what is new. `OWNERSHIP`: what this node owns."""
        self.ended: Callable[[str], None] = lambda _why: None
        """Called by it when this node cannot take part any more, with the reason."""
        self.trouble = ""
        """Why the lease could not be renewed; empty if it could."""
        self.namesake = ""
        """Another living process whose node has the same name."""
        self.clock_ahead = 0.0
        """How many seconds this machine's clock is ahead of the database's; 0: in step."""
        self._url = url
        self.word = uuid4().hex[:8]
        """In the name of this process, also when it begins again, and of its connections."""
        self._base = process
        self._beginnings = count(1)
        self._process = process
        self._terms = terms
        self._numbers = frozenset(numbers)
        self._knows = latest_version()
        self._holds: dict[str, OwnedNumber] = {}
        self._leaving: frozenset[str] = frozenset()
        self._asked_at: float | None = None
        self._judges_from = 0.0
        self._is_alone = False
        self._registered_at = 0.0
        self._ended = threading.Event()
        self._one_by_one = threading.Lock()
        self._change = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def holds(self) -> dict[str, OwnedNumber]:
        """The numbers that this node owns; `LEDGER` among them if it leads."""
        return self._holds

    @property
    def leaving(self) -> frozenset[str]:
        """The numbers that other nodes are to have: see `release`."""
        return self._leaving

    @property
    def is_alone(self) -> bool:
        """Whether no other node lives, as of the last look."""
        return self._is_alone

    def seconds_left(self, number: str) -> float:
        """For how long no other node can have a number; 0 or less: it may."""
        return self.lease_left() if number in self._holds else 0.0

    def lease_left(self) -> float:
        """What is left of the lease."""
        now = self._terms.boot_clock()
        return leases.seconds_left(self._asked_at, now, lease_seconds=self._terms.lease_seconds)

    def begin(self, connection: Psycopg, numbers: Numbers) -> str:
        """Begin a transaction that has these numbers for itself; give the server's number of it.

        Their rows are locked in one order, so that two writers do not wait for each other. Raises
        Lost if another process has one of them; of all numbers, if another one leads.
        """
        cursor = psycopg.ClientCursor(connection)  # one round trip
        if numbers is None:
            cursor.execute(_BEGIN_ALL)
        else:
            cursor.execute(_BEGIN, (list(numbers),))
        cursor.nextset()
        ((transaction,),) = cursor.fetchall()
        cursor.nextset()
        holds, process = self._holds, self._process
        mine = {
            number
            for number, owner, epoch in cursor
            if owner == process and number in holds and holds[number].epoch == epoch
        }
        if lost := ({LEDGER} if numbers is None else set(numbers)) - mine:
            self._drop(lost)
            raise Lost(lost)
        return str(transaction)

    def begin_taking_part(self) -> None:
        """Take the first look, and start the thread that keeps the lease.

        Raises psycopg.Error, StoreDamaged if the tables are of a version that this node cannot use.
        """
        with contextlib.closing(connect(self._url)) as connection:
            self._look(connection)
        self._thread.start()

    def release(self, connection: Psycopg, number: str, *, is_finished: bool) -> None:
        """Let another node have a number, inside a transaction that has it.

        ``is_finished``: no send for it is under way; otherwise the next owner waits for its end.
        """
        connection.execute(
            "UPDATE numbers SET owner = %s WHERE number = %s AND owner = %s",
            ("" if is_finished else UNFINISHED, number, self._process),
        )
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, OWNERSHIP))
        self._drop({number})

    def close(self) -> None:
        """Hand everything over to other nodes. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        with self._one_by_one:
            self._asked_at, self._holds = None, {}
            with contextlib.suppress(psycopg.Error), contextlib.closing(connect(self._url)) as one:
                # The numbers keep their owner, so whoever claims them knows that sends may have
                # been cut off. They are free: that process is no node any more.
                one.execute("DELETE FROM nodes WHERE process = %s", (self._process,))
                one.execute("SELECT pg_notify(%s, %s)", (CHANNEL, OWNERSHIP))
        if self._thread.ident is not None:
            self._thread.join()

    # -- in the thread of the lease ----------------------------------------------------------------

    def _keep(self) -> None:
        """Renew the lease, and share the numbers out, until everything is handed over."""
        connection: Psycopg | None = None
        while not self._ended.is_set():
            is_new = connection is None or connection.closed
            try:
                if connection is None or is_new:
                    connection = connect(self._url, name=self.word)
                    connection.execute(f"LISTEN {CHANNEL}")
                with self._one_by_one:
                    if not self._ended.is_set():
                        self._look(connection)
                self.trouble = ""
                for notice in connection.notifies(timeout=LOOK_SECONDS):
                    self.noticed(notice.payload)
                    if notice.payload == OWNERSHIP or self._ended.is_set():
                        break
            except StoreDamaged as error:
                self._ended.set()
                self._asked_at = None
                self._drop(self._holds)
                self.ended(str(error))
            except Exception as error:  # noqa: BLE001 - a node without this thread has no numbers
                self._leave(connection, error, is_new=is_new)
        if connection is not None:
            connection.close()

    def _leave(self, connection: Psycopg | None, error: Exception, *, is_new: bool) -> None:
        """Close a connection after an error; a new one may find another server, or be in order."""
        if connection is not None:
            connection.close()
        if is_new:
            self.trouble = _trouble(error)
            self._ended.wait(LOOK_SECONDS)

    def _look(self, connection: Psycopg) -> None:
        """Renew the lease if it is due, and come closer to this node's share."""
        if refusal := tables_of(connection).refusal(self._knows):
            raise StoreDamaged(refusal)
        before = set(self._holds), self._leaving
        terms, now = self._terms, self._terms.boot_clock()
        due = leases.renewal_seconds(terms.lease_seconds)
        if self._asked_at is None or now - self._asked_at >= due:
            self._renew(connection, now)
        if now >= self._judges_from:
            connection.execute(_GIVE_UP)
        nodes = self._living(connection)
        self._is_alone = nodes.keys() <= {self._process}
        owners: dict[str, str] = dict(
            connection.execute(
                "SELECT number, owner FROM numbers WHERE number = ANY(%s)",
                ([LEDGER, *self._numbers],),
            ).fetchall()
        )
        for number in {LEDGER, *self._numbers} - owners.keys():
            connection.execute(
                "INSERT INTO numbers (number, owner, epoch) VALUES (%s, '', 0)"
                " ON CONFLICT (number) DO NOTHING",
                (number,),
            )
            owners[number] = ""
        self._drop({number for number in self._holds if owners.get(number) != self._process})
        self._lead_or_not(connection, owners.pop(LEDGER), nodes)
        moves = leases.moves(self._process, owners, nodes)
        self._leaving = frozenset(moves.leave)
        if moves.claim:
            free = [number for number, owner in owners.items() if owner not in nodes]
            self._claim(connection, free, moves.claim)
        if (set(self._holds), self._leaving) != before:
            self.noticed(OWNERSHIP)

    def _lead_or_not(self, connection: Psycopg, leader: str, nodes: Mapping[str, int]) -> None:
        """Lead if no node does; leave that to one that knows newer tables."""
        if max(nodes.values(), default=0) <= self._knows:
            if leader not in nodes:
                self._claim(connection, [LEDGER], 1)
        elif leader == self._process:
            left = connection.execute(
                "UPDATE numbers SET owner = '' WHERE number = (SELECT number FROM numbers"
                " WHERE number = %s AND owner = %s FOR UPDATE SKIP LOCKED)",
                (LEDGER, self._process),
            )
            if left.rowcount:  # else a write of this node goes on: at the next look
                connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, OWNERSHIP))
                self._drop({LEDGER})

    def _living(self, connection: Psycopg) -> dict[str, int]:
        """The processes of the nodes that live, with the version of the tables that they know."""
        rows = connection.execute(
            "SELECT process, name, renewed_at, schema_version FROM nodes"
        ).fetchall()
        alike = (
            process
            for process, name, renewed_at, _ in rows
            # One that was not renewed since may be this node's last process, which was killed.
            if name == self._terms.name
            and process != self._process
            and renewed_at > self._registered_at
        )
        self.namesake = next(alike, "")
        return {process: known for process, _, _, known in rows}

    def _renew(self, connection: Psycopg, asked_at: float) -> None:
        """Renew the lease; a node that others have given up begins again, without numbers."""
        terms = self._terms
        was_over = self._asked_at is not None and self.lease_left() <= 0
        sent_at = terms.now()
        row = connection.execute(
            f"UPDATE nodes SET until = {_NOW} + %s, renewed_at = {_NOW}, clock_ahead = %s"
            " WHERE process = %s RETURNING renewed_at",
            (terms.lease_seconds, round(self.clock_ahead), self._process),
        ).fetchone()
        if row is None:
            # What it owned is another's now, or will be: no write may take it for this node's.
            with self._change:
                self._process = f"{self._base} {self.word}.{next(self._beginnings)}"
                self._holds = {}
            row = connection.execute(
                "INSERT INTO nodes (process, name, version, schema_version, until, renewed_at)"
                f" VALUES (%s, %s, %s, %s, {_NOW} + %s, {_NOW}) RETURNING renewed_at",
                (self._process, terms.name, terms.version, self._knows, terms.lease_seconds),
            ).fetchone()
            self._registered_at = row[0] if row else 0.0
        if row is not None:
            self.clock_ahead = leases.clock_ahead(sent_at, terms.now(), row[0])
        if was_over:
            # The database was away, perhaps for all: let the others renew theirs first.
            self._judges_from = asked_at + terms.lease_seconds
        self._asked_at = asked_at

    def _claim(self, connection: Psycopg, numbers: Collection[str], most: int) -> None:
        """Become the owner of some of these numbers, as far as no other node does meanwhile."""
        with connection.transaction():
            locked = connection.execute(_LOCK, (list(numbers), most)).fetchall()
            # Read when they are locked: another node may have come, and claimed them, meanwhile,
            # or have brought the tables up to date.
            if refusal := tables_of(connection).refusal(self._knows):
                raise StoreDamaged(refusal)
            living = self._living(connection)
            former: dict[str, str] = {
                number: owner for number, owner in locked if owner not in living
            }
            epochs = connection.execute(
                "UPDATE numbers SET owner = %s, epoch = epoch + 1 WHERE number = ANY(%s)"
                " RETURNING number, epoch",
                (self._process, list(former)),
            ).fetchall()
        now = self._terms.boot_clock()
        gained = {
            number: OwnedNumber(
                epoch=epoch,
                settles_at=leases.settles_at(
                    now,
                    was_handed_over=not former[number],
                    call_seconds=self._terms.call_seconds,
                ),
            )
            for number, epoch in epochs
        }
        with self._change:
            self._holds = {**self._holds, **gained}

    def _drop(self, numbers: Collection[str]) -> None:
        """Forget that this node owns some numbers. Any thread may find that out."""
        with self._change:
            lost = self._holds.keys() & set(numbers)
            self._holds = {name: hold for name, hold in self._holds.items() if name not in lost}
        if lost:
            self.noticed(OWNERSHIP)


def _trouble(error: Exception) -> str:
    """Why the lease cannot be kept."""
    if isinstance(error, psycopg.Error):
        return f"cannot reach the database: {reason(error)}"
    return f"cannot keep the lease: {type(error).__name__}"
