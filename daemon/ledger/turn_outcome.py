"""The end of turns: their outcome, that of their messages, and what is left to be done after it.

All of it happens inside the caller's transaction.
"""

from daemon.domain.records import Outcome, Run, Turn, TurnEnd, Validation
from daemon.domain.transitions.handover import escalated
from daemon.ledger.drivers.port import Connection
from daemon.ledger.handover import hold_of, hold_waiting, leave_turn
from daemon.ledger.media import WITHDRAWN
from daemon.ledger.messages import redact_turn
from daemon.ledger.role import Role, transaction


def close_turn(
    connection: Connection,
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
    redact_turn(connection, turn.id)
    _pause_if_escalated(connection, turn, now)


def finish_turn(connection: Connection, turn: Turn, now: float) -> TurnEnd:
    """See `daemon.ledger.turns.Turns.finish`."""
    said, refused, error = connection.execute(
        # What waits to be said again counts: if that is refused too, `mark_dead` sees to it.
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


def turn_end(connection: Connection, turn: Turn) -> TurnEnd:
    """How a turn has ended, and what is left to be done about it."""
    outcome, paused_until, leaves_files = connection.execute(
        "SELECT outcome, (SELECT paused_until FROM chats WHERE chats.channel = turns.channel"  # noqa: S608 - constants
        " AND chats.chat = turns.chat AND EXISTS (SELECT 1 FROM escalations"
        f" WHERE turn_id = turns.id)), EXISTS ({WITHDRAWN} AND turn_id = turns.id)"
        " FROM turns WHERE id = ?",
        (turn.id,),
    ).fetchone()
    return TurnEnd(outcome, paused_until or 0, bool(leaves_files))


def _pause_if_escalated(connection: Connection, turn: Turn, now: float) -> None:
    """Begin the pause of a turn that ends, if it hands its chat over; see `handover.escalated`."""
    row = connection.execute(
        "SELECT pause_seconds FROM escalations WHERE turn_id = ?", (turn.id,)
    ).fetchone()
    if row is None:
        return
    hold = escalated(
        hold_of(connection, turn.key),
        pause_seconds=row[0],
        agent_wrote=_agent_wrote_since(connection, turn),
        now=now,
    )
    connection.execute(
        "UPDATE chats SET paused_until = ?, escalated_at = ?, overdue_at = ?"
        " WHERE channel = ? AND chat = ?",
        (hold.paused_until, hold.escalated_at, hold.overdue_at, *turn.key),
    )
    hold_waiting(connection, turn.key, now)


def _agent_wrote_since(connection: Connection, turn: Turn) -> bool:
    """Whether an agent has written in the chat while a turn was at work."""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE channel || '/' || chat = ? AND from_me = 1"
        " AND seq > (SELECT MAX(seq) FROM messages WHERE turn_id = ?)"
        " AND (state = 'received' OR reason = 'agent') LIMIT 1",
        ("/".join(turn.key), turn.id),
    ).fetchone()
    return row is not None


# What validation said of answers, beside the responses that it was said of.


class Validations(Role):
    """Second tries of answers. Only the task of a turn's chat may ask for one."""

    @transaction
    def ask_again(
        self,
        connection: Connection,
        run: Run,
        number: int,
        *,
        rulings: str,
        note: str,
        cooldown: float,
        now: float,
    ) -> bool:
        """Grant the answer of a round a second try, and keep the note for it; False if not.

        Once a turn, and once in ``cooldown`` seconds a chat. ``rulings`` is a JSON list.
        """
        asked = connection.execute(
            "SELECT 1 FROM responses JOIN runs ON runs.id = run_id"
            " WHERE turn_id = ? AND note != '' LIMIT 1",
            (run.turn_id,),
        ).fetchone()
        if asked is not None:
            return False
        due = connection.execute(
            "UPDATE chats SET validated_at = ? WHERE (channel, chat) ="
            " (SELECT channel, chat FROM turns WHERE id = ?)"
            " AND (validated_at <= ? OR validated_at > ?)",
            (now, run.turn_id, now - cooldown, now),
        )
        if not due.rowcount:
            return False
        connection.execute(
            "UPDATE responses SET validation = ?, note = ? WHERE run_id = ? AND round = ?",
            (rulings, note, run.id, number),
        )
        return True


def record(connection: Connection, turn_id: int, validation: Validation) -> None:
    """Keep what was said of the answer that a turn ends with, inside the caller's transaction."""
    connection.execute(
        "UPDATE responses SET validation = ? WHERE round = ? AND run_id ="
        " (SELECT id FROM runs WHERE turn_id = ? AND state = 'running')",
        (validation.rulings, validation.round, turn_id),
    )
    if validation.doubt:
        connection.execute("UPDATE turns SET doubt = ? WHERE id = ?", (validation.doubt, turn_id))
