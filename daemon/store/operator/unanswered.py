"""Which messages have no outcome: the query behind the figure of the oldest unanswered one."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One customer message that nobody has dealt with yet. Times are Unix seconds."""

    message_id: str
    chat: str
    state: str
    """``received`` while it waits, ``in_turn`` while it is being answered, ``dead`` if its answer
    could not be delivered by WhatsApp."""
    received_at: float
    attempts: int
    """How often the work on its turn has begun."""


def unanswered(connection: sqlite3.Connection) -> list[Unanswered]:
    """All messages of customers without an outcome, the oldest first.

    With them those whose answer was given, and could not be delivered.
    """
    rows = connection.execute(
        "SELECT m.id, m.chat, m.state, m.received_at, COALESCE(t.attempts, 0) FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id"
        " WHERE m.from_me = 0 AND (m.state IN ('received', 'in_turn') OR (m.state = 'dead'"
        " AND m.turn_id IN (SELECT o.turn_id FROM send_failures f JOIN outbox o"
        " ON o.id = f.outbox_id))) ORDER BY m.seq"
    )
    return [Unanswered(*row) for row in rows]
