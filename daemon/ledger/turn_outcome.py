"""The end of turns: their outcome, that of their messages, and what is left to be done after it.

`daemon.domain.transitions` decides; all of it happens inside the caller's transaction.
"""

from daemon.domain.records import Turn, TurnEnd
from daemon.domain.states import RECEIVED, TURN_DONE, Outcome
from daemon.domain.transitions.handover import escalated
from daemon.domain.transitions.turns import outcome_of
from daemon.ledger import announcements
from daemon.ledger.drivers.port import Connection
from daemon.ledger.handover import change_hold, end_messages, hold_waiting
from daemon.ledger.media import withdrawn_files
from daemon.ledger.messages import redact_turn
from daemon.ledger.statuses import answer_parts


def close_turn(
    connection: Connection,
    turn: Turn,
    outcome: Outcome,
    reason: str,
    now: float,
    *,
    in_thread: bool = True,
) -> None:
    """Set the outcome of a turn and its messages; the pause that it has asked for begins.

    The messages of a turn that is handed off wait for a person. ``in_thread``: the thread has their
    words. A turn that has its outcome keeps it.
    """
    if has_outcome(connection, turn):
        return
    end_messages(connection, turn.id, outcome, reason, in_thread=in_thread, now=now)
    connection.execute(
        "UPDATE turns SET state = ?, outcome = ?, reason = ?, closed_at = ? WHERE id = ?",
        (TURN_DONE, outcome, reason, now, turn.id),
    )
    announcements.turn_ended(connection, turn.id, now=now)
    redact_turn(connection, turn.id)
    _pause_if_escalated(connection, turn, now)


def has_outcome(connection: Connection, turn: Turn) -> bool:
    """Whether a turn is over."""
    row = connection.execute(
        "SELECT 1 FROM turns WHERE id = ? AND state = ?", (turn.id, TURN_DONE)
    ).fetchone()
    return row is not None


def finish_turn(connection: Connection, turn: Turn, now: float) -> TurnEnd:
    """See `daemon.ledger.turns.Turns.finish`."""
    outcome, reason = outcome_of(answer_parts(connection, turn.id))
    close_turn(connection, turn, outcome, reason, now)
    return turn_end(connection, turn)


def turn_end(connection: Connection, turn: Turn) -> TurnEnd:
    """The end of a turn, and what is left to be done about it."""
    outcome, pause_seconds, paused_until = connection.execute(
        "SELECT t.outcome, e.pause_seconds, c.paused_until FROM turns t"
        " LEFT JOIN escalations e ON e.turn_id = t.id"
        " LEFT JOIN chats c ON c.channel = t.channel AND c.chat = t.chat WHERE t.id = ?",
        (turn.id,),
    ).fetchone()
    return TurnEnd(
        outcome,
        paused_until=(paused_until or 0) if pause_seconds is not None else 0,
        leaves_files=bool(withdrawn_files(connection, turn_id=turn.id)),
    )


def _pause_if_escalated(connection: Connection, turn: Turn, now: float) -> None:
    """Begin the pause of a turn that ends, if it hands its chat over."""
    row = connection.execute(
        "SELECT pause_seconds FROM escalations WHERE turn_id = ?", (turn.id,)
    ).fetchone()
    if row is None:
        return
    agent_wrote = _agent_wrote_since(connection, turn)
    change_hold(
        connection,
        turn.key,
        lambda hold: escalated(hold, pause_seconds=row[0], agent_wrote=agent_wrote, now=now),
    )
    hold_waiting(connection, turn.key, now)


def _agent_wrote_since(connection: Connection, turn: Turn) -> bool:
    """Whether an agent has written in the chat while a turn was at work."""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE channel || '/' || chat = ? AND from_me = 1"
        " AND seq > (SELECT MAX(seq) FROM messages WHERE turn_id = ?)"
        f" AND (state = '{RECEIVED}' OR reason = 'agent') LIMIT 1",
        ("/".join(turn.key), turn.id),
    ).fetchone()
    return row is not None
