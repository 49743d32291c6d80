"""Several nodes on one ledger: what stands by, and the webhook calls that it has taken meanwhile.

Only PostgreSQL's ledger has several nodes; on SQLite these tables are empty.
"""

import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from daemon.domain.transitions.leases import NodeTerms
from daemon.ledger.drivers.port import Connection, Role, marks, query, transaction

MOST_CALLS = 50
"""Taken in one round."""

LEASE_SECONDS = 15.0
CALL_SECONDS = 15.0


def _terms() -> NodeTerms:
    return NodeTerms(
        name=socket.gethostname(),
        version="",
        lease_seconds=LEASE_SECONDS,
        call_seconds=CALL_SECONDS,
        boot_clock=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """This node, as the opening of the ledger needs it."""

    terms: NodeTerms = field(default_factory=_terms)
    stands_by: Callable[["WaitingCalls"], None] = lambda _calls: None
    """Called once webhook calls can be stored, whichever node has the ledger."""
    waits: Callable[[str], None] = lambda _why: None
    """Gets the reason why the ledger is not open yet, when it changes."""


class WaitingCall(NamedTuple):
    """A webhook call that was answered with 200 and is not taken in yet."""

    id: int
    number: str
    event: str
    body: bytes


class WaitingCalls(Role):
    """Webhook calls on their way to the owner. Any node adds to them; the owner takes them in."""

    @transaction
    def add(
        self, connection: Connection, number: str, event: str, body: bytes, *, now: float
    ) -> None:
        """Store a call; durable on return. Raises StoreUnavailable."""
        connection.execute(
            "INSERT INTO waiting_calls (number, event, body, received_at) VALUES (?, ?, ?, ?)",
            (number, event, body, now),
        )

    @query
    def of_numbers(
        self, connection: Connection, numbers: Collection[str], *, beside: Collection[int]
    ) -> tuple[WaitingCall, ...]:
        """The next calls for these numbers in their order, without the calls ``beside`` them."""
        numbers, beside = tuple(numbers), (0, *beside)  # NOT IN knows no empty list
        rows = connection.execute(
            "SELECT id, number, event, body FROM waiting_calls"
            f" WHERE number IN ({marks(numbers)}) AND id NOT IN ({marks(beside)})"
            " ORDER BY id LIMIT ?",
            (*numbers, *beside, MOST_CALLS),
        )
        return tuple(
            WaitingCall(call, number, event, bytes(body)) for call, number, event, body in rows
        )

    @query
    def look(self, connection: Connection) -> None:
        """Do nothing if the ledger can be read. Raises StoreUnavailable."""
        connection.execute("SELECT 1 FROM waiting_calls LIMIT 1").fetchone()

    @transaction
    def taken(self, connection: Connection, call: int) -> None:
        """Forget a call that was taken in. Raises StoreUnavailable."""
        connection.execute("DELETE FROM waiting_calls WHERE id = ?", (call,))


class SharedKeys(Role):
    """Secrets that all nodes need. Called at the start."""

    @transaction
    def agree(self, connection: Connection, name: str, ours: bytes) -> bytes:
        """The key that all nodes use: that of the first one. Raises StoreUnavailable."""
        connection.execute(
            "INSERT INTO shared_keys (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
            (name, ours),
        )
        row = connection.execute("SELECT value FROM shared_keys WHERE name = ?", (name,)).fetchone()
        return bytes(row[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node as `recado nodes` shows it."""

    name: str
    state: str
    version: str
    silent_seconds: float
    """Since it was last seen."""
    lease_seconds: float | None
    """What is left of its lease; None: it does not have the ledger."""
    epoch: int


def nodes(connection: Connection, now: float) -> list[NodeState]:
    """All nodes that were not stopped; ``now`` is the server's clock, Unix seconds."""
    rows = connection.execute(
        "SELECT n.name, n.state, n.version, n.seen_at, o.until, o.epoch FROM nodes n"
        " LEFT JOIN numbers o ON o.number = '' AND o.owner = n.process ORDER BY n.name"
    )
    return [
        NodeState(
            name=name,
            state=state,
            version=version,
            silent_seconds=max(0.0, now - seen_at),
            lease_seconds=None if until is None else until - now,
            epoch=epoch or 0,
        )
        for name, state, version, seen_at, until, epoch in rows
    ]


def waiting_calls(connection: Connection) -> int:
    """How many webhook calls wait for the owner."""
    count: int = connection.execute("SELECT COUNT(*) FROM waiting_calls").fetchone()[0]
    return count
