"""How earlier processes ended, the stages of turns, and how much waits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from daemon.domain.handover import WITH_AGENT
from daemon.ledger.drivers.port import Connection
from daemon.ledger.role import Role, query, transaction

# How the processes that had this store have ended: the next one finds it out and counts it.


End = Literal["clean", "forced", "crashed"]
"""In time; begun, but not finished, so the deadline or a second signal ended it; without a word."""


@dataclass(frozen=True, slots=True)
class EarlierLives:
    """What is known of the processes before this one."""

    last_end: End | None = None
    """None if there was none."""
    last_stop_seconds: float = 0
    """How long its stop took; 0 unless it was clean."""
    ends: dict[str, int] = field(default_factory=dict)
    """How often a process has ended in which way since the store was made."""


class ProcessLife(Role):
    """The row of the process that has the store. Only the composer calls it."""

    @transaction
    def begin(self, connection: Connection, *, now: float) -> EarlierLives:
        """Count how the last process ended, and begin the row of this one.

        Raises StoreUnavailable.
        """
        row = connection.execute("SELECT stopping_at, stopped_at FROM process_life").fetchone()
        end, seconds = _end_of(row) if row else (None, 0.0)
        connection.execute("UPDATE process_ends SET count = count + 1 WHERE how = ?", (end,))
        connection.execute(
            "INSERT OR REPLACE INTO process_life (only, started_at) VALUES (1, ?)", (now,)
        )
        ends = dict(connection.execute("SELECT how, count FROM process_ends").fetchall())
        return EarlierLives(end, seconds, ends)

    async def stopping(self, *, now: float) -> None:
        """The stop has begun. Raises StoreUnavailable."""
        await self._note("stopping_at", now)

    async def stopped(self, *, now: float) -> None:
        """All is done but closing the store. Raises StoreUnavailable."""
        await self._note("stopped_at", now)

    @transaction
    def _note(
        self, connection: Connection, column: Literal["stopping_at", "stopped_at"], now: float
    ) -> None:
        connection.execute(f"UPDATE process_life SET {column} = ?", (now,))  # noqa: S608 - one of two


def _end_of(row: tuple[float | None, float | None]) -> tuple[End, float]:
    stopping_at, stopped_at = row
    if stopped_at is not None:
        return "clean", max(0.0, stopped_at - (stopping_at or stopped_at))
    return ("crashed" if stopping_at is None else "forced"), 0.0


# The stages of turns, kept for people who want to know where the time went.


STAGES_A_WRITE = 2_000
"""Rows deleted in one write: a few milliseconds, so that no webhook waits for it."""


class StageRow(NamedTuple):
    """The beginning of one stage of a turn; ``at`` in Unix seconds."""

    turn_id: int
    stage: str
    at: float
    detail: str


class Stages(Role):
    """The record of stages. One task adds to it and one lets old ones go."""

    @transaction
    def add(self, connection: Connection, rows: Sequence[StageRow]) -> None:
        """Keep the stages of turns that have ended, in one write. Raises StoreUnavailable."""
        connection.executemany(
            "INSERT INTO stages (turn_id, stage, at, detail) VALUES (?, ?, ?, ?)", rows
        )

    @transaction
    def drop_old(self, connection: Connection, *, before: float) -> bool:
        """Delete a batch of those from before a time (Unix seconds); True if there may be more.

        Raises StoreUnavailable.
        """
        deleted = connection.execute(
            "DELETE FROM stages WHERE id IN (SELECT id FROM stages WHERE at < ? LIMIT ?)",
            (before, STAGES_A_WRITE),
        )
        return deleted.rowcount == STAGES_A_WRITE


# How much waits, and how much was given up: figures for probes and metrics.


class Backlog(Role):
    """What is not done yet. Any task may ask; it is read from indexes alone."""

    @query
    def counts(self, connection: Connection) -> tuple[dict[str, int], int]:
        """Customers' messages without an outcome by state, and how many were given up.

        Raises StoreUnavailable.
        """
        queue = connection.execute(
            "SELECT state, COUNT(*) FROM messages WHERE state IN ('received', 'in_turn')"  # noqa: S608 - constant
            f" GROUP BY state UNION ALL SELECT '{WITH_AGENT}', COUNT(*) FROM messages"
            f" WHERE state = '{WITH_AGENT}'"
        )
        dead = connection.execute("SELECT COUNT(*) FROM messages WHERE state = 'dead'")
        return dict(queue.fetchall()), dead.fetchone()[0]
