"""Several nodes on one ledger: what they leave for each other, webhook calls and commands.

Only PostgreSQL's ledger has several nodes; on SQLite these tables are empty.
"""

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from daemon.domain.states import BEGUN, DONE, WAITING
from daemon.domain.transitions.leases import NodeTerms
from daemon.ledger.drivers.port import (
    Connection,
    Role,
    Transactions,
    marks,
    query,
    reading,
    transaction,
)

T = TypeVar("T")

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
        now=time.time,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """This node, as the opening of the ledger needs it."""

    terms: NodeTerms = field(default_factory=_terms)
    waits: Callable[[str], None] = lambda _why: None
    """Gets the reason why the ledger is not open yet, when it changes."""


class WaitingCall(NamedTuple):
    """A webhook call that was answered with 200 and is not taken in yet."""

    id: int
    number: str
    event: str
    body: bytes


def waiting_calls(connection: Connection) -> dict[str, int]:
    """How many webhook calls wait for the owner of each number for which any do."""
    rows = connection.execute("SELECT number, COUNT(*) FROM waiting_calls GROUP BY number")
    return dict(rows.fetchall())


class WaitingCalls(Role):
    """Webhook calls on their way to their number's owner. Any node adds to them."""

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
    def of_number(
        self, connection: Connection, number: str, *, beside: Collection[int]
    ) -> tuple[WaitingCall, ...]:
        """The next calls for a number in their order, without the calls ``beside`` them."""
        beside = (0, *beside)  # NOT IN knows no empty list
        rows = connection.execute(
            "SELECT id, number, event, body FROM waiting_calls"
            f" WHERE number = ? AND id NOT IN ({marks(beside)}) ORDER BY id LIMIT ?",
            (number, *beside, MOST_CALLS),
        )
        return tuple(
            WaitingCall(call, name, event, bytes(body)) for call, name, event, body in rows
        )

    counts = reading(waiting_calls)

    @transaction
    def taken(self, connection: Connection, calls: Sequence[int]) -> None:
        """Forget calls that were taken in. Raises StoreUnavailable."""
        connection.execute(f"DELETE FROM waiting_calls WHERE id IN ({marks(calls)})", tuple(calls))


class Command(NamedTuple):
    """What an operator wants of a number, asked on a node that does not own it."""

    id: int
    number: str
    operation: str
    arguments: str
    """JSON."""
    is_begun: bool
    """True if an earlier owner did it, and ended before it stored the result."""


class Commands(Role):
    """Commands on their way to their number's owner. Any node adds to them."""

    @transaction
    def ask(
        self,
        connection: Connection,
        number: str,
        chat: str,
        operation: str,
        arguments: str,
        *,
        now: float,
    ) -> int:
        """Store a command; durable on return. Gives its id."""
        row = connection.execute(
            "INSERT INTO commands (number, chat, operation, arguments, asked_at)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (number, chat, operation, arguments, now),
        ).fetchone()
        return int(row[0])

    @query
    def open(self, connection: Connection, numbers: Collection[str]) -> tuple[Command, ...]:
        """The next commands for these numbers, in their order."""
        names = tuple(numbers)
        rows = connection.execute(
            "SELECT id, number, operation, arguments, state FROM commands"
            f" WHERE state != '{DONE}' AND number IN ({marks(names)}) ORDER BY id LIMIT ?",
            (*names, MOST_CALLS),
        )
        return tuple(
            Command(command, number, operation, arguments, is_begun=state == BEGUN)
            for command, number, operation, arguments, state in rows
        )

    @transaction
    def done(self, connection: Connection, command: int, result: str) -> None:
        """Store what has come of a command (JSON), in place of its arguments."""
        connection.execute(
            f"UPDATE commands SET state = '{DONE}', result = ?, arguments = '', chat = ''"
            f" WHERE id = ? AND state != '{DONE}'",
            (result, command),
        )

    @query
    def result(self, connection: Connection, command: int) -> str | None:
        """What has come of a command; None before it is done."""
        row = connection.execute(
            f"SELECT result FROM commands WHERE id = ? AND state = '{DONE}'", (command,)
        ).fetchone()
        return str(row[0]) if row else None

    @transaction
    def forget(self, connection: Connection, *, before: float) -> None:
        """Forget commands that were done and asked before a time (Unix seconds)."""
        connection.execute(
            f"DELETE FROM commands WHERE state = '{DONE}' AND asked_at < ?", (before,)
        )


class OnceDatabase:
    """The way into the database for one command, which is carried out once.

    Its first write also marks the command as begun, in the same transaction.
    """

    def __init__(self, database: Transactions, command: int) -> None:
        self._database = database
        self._command = command
        self._has_begun = False

    async def read(self, operation: Callable[[Any], T]) -> T:
        """See `daemon.ledger.drivers.port.Transactions`."""
        return await self._database.read(operation)

    async def write(self, operation: Callable[[Any], T]) -> T:
        """See `daemon.ledger.drivers.port.Transactions`. Raises AlreadyBegun."""

        def marked(connection: Connection) -> T:
            if not self._has_begun:
                begun = connection.execute(
                    f"UPDATE commands SET state = '{BEGUN}' WHERE id = ? AND state = '{WAITING}'",
                    (self._command,),
                )
                if not begun.rowcount:
                    raise AlreadyBegun
            return operation(connection)

        marked.__qualname__ = operation.__qualname__
        result = await self._database.write(marked)
        self._has_begun = True
        return result


class AlreadyBegun(Exception):
    """Another owner of the number has carried a command out."""


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
    process: str
    """Host, process id, and what tells it from an earlier one."""
    version: str
    leads: bool
    """Whether it does what belongs to no single number."""
    numbers: tuple[str, ...]
    silent_seconds: float
    """Since it has renewed its lease."""
    lease_seconds: float
    """What is left of its lease; 0 or less: another node may take what it owns."""
    clock_ahead: int
    """How many seconds its machine's clock is ahead of the database's; 0: in step."""


def running_nodes(connection: Connection, now: float) -> list[NodeState]:
    """All nodes that were not stopped; ``now`` is the server's clock, Unix seconds."""
    owned: defaultdict[str, list[str]] = defaultdict(list)
    for number, owner in connection.execute("SELECT number, owner FROM numbers ORDER BY number"):
        owned[owner].append(number)
    rows = connection.execute(
        "SELECT process, name, version, until, renewed_at, clock_ahead FROM nodes"
        " ORDER BY name, process"
    )
    return [
        NodeState(
            name=name,
            process=process,
            version=version,
            leads="" in owned[process],
            numbers=tuple(number for number in owned[process] if number),
            silent_seconds=max(0.0, now - renewed_at),
            lease_seconds=until - now,
            clock_ahead=clock_ahead,
        )
        for process, name, version, until, renewed_at, clock_ahead in rows
    ]


def owners(connection: Connection) -> dict[str, str]:
    """The name of the node that has each number; empty if none has it."""
    rows = connection.execute(
        "SELECT number, COALESCE(name, '') FROM numbers LEFT JOIN nodes ON process = owner"
        " WHERE number != '' ORDER BY number"
    )
    return dict(rows.fetchall())
