"""The end of turns: their outcome, that of their messages, and what is left to be done after it.

All of it happens inside the caller's transaction.
"""

import sqlite3

from daemon.ledger import Outcome, Turn, TurnEnd
from daemon.store.disappearing import let_turn_disappear
from daemon.store.media import WITHDRAWN
from daemon.store.waiting import hold_waiting, leave_turn


def close_turn(
    connection: sqlite3.Connection,
    turn: Turn,
    outcome: Outcome,
    reason: str,
    now: float,
    *,
    in_thread: bool = True,
) -> None:
    """Give a turn and its messages their outcome; the pause that it has asked for begins.

    The messages of a turn that is handed off wait for a person. ``in_thread``: the thread has their
    words.
    """
    if outcome == "handed_off":
        leave_turn(connection, turn.id, reason, in_thread=in_thread)
    connection.execute(
        "UPDATE messages SET state = ?, reason = ? WHERE turn_id = ? AND state = 'in_turn'",
        (outcome, reason, turn.id),
    )
    connection.execute(
        "UPDATE turns SET state = 'done', outcome = ?, reason = ?, closed_at = ? WHERE id = ?",
        (outcome, reason, now, turn.id),
    )
    let_turn_disappear(connection, turn.id)
    _pause_if_escalated(connection, turn, now)


def finish_turn(connection: sqlite3.Connection, turn: Turn, now: float) -> TurnEnd:
    """See `daemon.store.turns.Turns.finish`."""
    said, refused, error = connection.execute(
        # What waits to be said again counts: if that is refused too, `bury_turn` sees to it.
        "SELECT COALESCE(SUM(state NOT IN ('failed', 'dropped')), 0),"
        " COALESCE(SUM(state = 'failed'), 0),"
        " MAX(CASE state WHEN 'failed' THEN error ELSE '' END)"
        " FROM outbox WHERE turn_id = ?"
        " AND id NOT IN (SELECT outbox_id FROM interim_messages)",
        (turn.id,),
    ).fetchone()
    outcome: Outcome = "dead" if refused and not said else "answered"
    close_turn(connection, turn, outcome, error if refused else "", now)
    return turn_end(connection, turn)


def turn_end(connection: sqlite3.Connection, turn: Turn) -> TurnEnd:
    """How a turn has ended, and what is left to be done about it."""
    outcome, paused_until, leaves_files = connection.execute(
        "SELECT outcome, (SELECT paused_until FROM chats WHERE chats.channel = turns.channel"  # noqa: S608 - constants
        " AND chats.chat = turns.chat AND EXISTS (SELECT 1 FROM escalations"
        f" WHERE turn_id = turns.id)), EXISTS ({WITHDRAWN} AND turn_id = turns.id)"
        " FROM turns WHERE id = ?",
        (turn.id,),
    ).fetchone()
    return TurnEnd(outcome, paused_until or 0, bool(leaves_files))


def _pause_if_escalated(connection: sqlite3.Connection, turn: Turn, now: float) -> None:
    """Begin the pause of a turn that ends, if it hands its chat over.

    A longer pause that has begun already stays. From now on a person is asked for.
    """
    escalated = connection.execute(
        # Without a pause the bot goes on, so nothing is said when the pause ends.
        "UPDATE chats SET escalated_at = ?1, overdue_at = IIF(e.pause_seconds > 0, 0, ?1),"
        " paused_until = IIF(e.pause_seconds > 0, MAX(paused_until, ?1 + e.pause_seconds),"
        " paused_until) FROM escalations e WHERE e.turn_id = ?2 AND channel = ?3 AND chat = ?4",
        (now, turn.id, *turn.key),
    )
    if escalated.rowcount:
        hold_waiting(connection, turn.key, now)
