"""The rows of a handover: pauses, and messages that wait for a person.

`daemon.domain.transitions.handover` decides; this module reads and writes, inside the caller's
transaction. It is the one place that sets a pause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.domain.messages import ChatKey
from daemon.domain.transitions.handover import (
    AN_AGENT,
    ESCALATED,
    WITH_AGENT,
    Event,
    Hold,
    OpenMessage,
    after,
    held,
    left_by_turn,
    waits_because,
)
from daemon.ledger.drivers.port import Connection
from daemon.ledger.messages import redact

_OPEN = (
    # Each state in the words of the index that holds it; see `daemon.ledger.messages.WAITING`.
    "SELECT m.seq, m.state, m.reason, m.to_note, COALESCE(t.state = 'delivering', 0),"  # noqa: S608 - constants
    " m.deleted_at IS NOT NULL FROM messages m LEFT JOIN turns t ON t.id = m.turn_id"
    " WHERE m.channel = ?1 AND m.chat = ?2 AND m.from_me = 0 AND m.state IN ('received', 'in_turn')"
    " UNION ALL SELECT seq, state, reason, to_note, 0, 0 FROM messages WHERE channel = ?1"
    f" AND chat = ?2 AND from_me = 0 AND state = '{WITH_AGENT}'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingChat:
    """A chat in which a customer waits for a person. ``since``: Unix seconds."""

    key: ChatKey
    since: float
    """When the oldest message that waits came; of an escalation without one, when it was made."""
    messages: int
    """How many messages wait; 0 if only the model asked for a person."""
    reason: str
    """Why the oldest waits: see `daemon.domain.transitions.handover`."""
    message_id: str = ""
    """Of the oldest message; empty if only the model asked for a person."""
    name: str = ""
    """The customer's or group's name in WhatsApp; empty if unknown."""


def hold_of(connection: Connection, key: ChatKey) -> Hold:
    """What keeps the bot out of a chat."""
    row = connection.execute(
        "SELECT paused_until, loop_until, escalated_at, overdue_at FROM chats"
        " WHERE channel = ? AND chat = ?",
        key,
    ).fetchone()
    return Hold(*row) if row else Hold()


def apply_event(connection: Connection, key: ChatKey, event: Event) -> int:
    """Let an event change a chat's open messages; gives how many now wait for the bot again."""
    changed = _change(connection, key, lambda message: after(message, event))
    return sum(message.state == "received" for message in changed)


def hold_waiting(connection: Connection, key: ChatKey, now: float) -> int:
    """See `Handovers.hold`."""
    reason = waits_because(hold_of(connection, key), now)
    return len(_change(connection, key, lambda message: held(message, reason)))


def agent_wrote(connection: Connection, key: ChatKey, *, pause_until: float) -> None:
    """Close what an agent's message answers, and pause the bot until a time (0: not at all)."""
    if pause_until:
        connection.execute(
            "UPDATE chats SET paused_until = MAX(paused_until, ?), loop_until = 0"
            " WHERE channel = ? AND chat = ?",
            (pause_until, *key),
        )
    _nobody_is_asked_for(connection, key)
    apply_event(connection, key, "agent wrote" if pause_until else "agent wrote beside the bot")


def give_back(connection: Connection, key: ChatKey, *, now: float) -> None:
    """Let the bot answer in a chat again, from now on and what waits there."""
    connection.execute(
        "UPDATE chats SET paused_until = MIN(paused_until, ?), loop_until = 0"
        " WHERE channel = ? AND chat = ?",
        (now, *key),
    )
    _nobody_is_asked_for(connection, key)
    apply_event(connection, key, "given back")


def mark_done(connection: Connection, key: ChatKey) -> int:
    """Count what waits for a person in a chat as handled; gives how many messages were closed."""
    _nobody_is_asked_for(connection, key)
    return len(_change(connection, key, lambda message: after(message, "done")))


def chats_named(
    connection: Connection, chat: str, channel: str | None = None
) -> tuple[ChatKey, ...]:
    """The chats with this id, on one channel or on all that know it."""
    only, values = ("", (chat,)) if channel is None else (" AND channel = ?", (chat, channel))
    rows = connection.execute(f"SELECT channel, chat FROM chats WHERE chat = ?{only}", values)  # noqa: S608 - constants
    return tuple(ChatKey(*row) for row in rows)


def leave_turn(connection: Connection, turn_id: int, reason: str, *, in_thread: bool) -> None:
    """Leave the messages of a turn that ends without an answer to a person."""
    rows = connection.execute(
        "SELECT seq, state, reason, to_note, 0, deleted_at IS NOT NULL FROM messages"
        " WHERE turn_id = ?"
        " AND (state = 'in_turn' OR to_note = 1)",
        (turn_id,),
    ).fetchall()
    _store(connection, rows, lambda message: left_by_turn(message, reason, in_thread=in_thread))


def signals(connection: Connection, key: ChatKey) -> tuple[bool, bool]:
    """Whether the end of a chat's pause means something, and whether a thread is to be told."""
    waits, notes = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM chats WHERE channel = ?1 AND chat = ?2"  # noqa: S608 - constants
        " AND escalated_at > 0 AND overdue_at = 0) OR EXISTS (SELECT 1 FROM messages"
        f" WHERE channel = ?1 AND chat = ?2 AND state = '{WITH_AGENT}' AND reason = '{AN_AGENT}'),"
        " EXISTS (SELECT 1 FROM messages WHERE channel = ?1 AND chat = ?2 AND to_note = 1)",
        key,
    ).fetchone()
    return bool(waits), bool(notes)


def waiting_chats(
    connection: Connection, key: ChatKey | None = None, *, before: float | None = None
) -> tuple[WaitingChat, ...]:
    """See `Handovers.waiting_chats`; of one chat, or of all."""
    only = "" if key is None else " AND channel = :channel AND chat = :chat"
    values: dict[str, object] = {"before": before, "escalated": ESCALATED}
    if key is not None:
        values |= {"channel": key.number, "chat": key.chat}
    rows = connection.execute(
        # SQLite takes the other columns from the row with the minimum; there are two rows at most.
        "SELECT channel, chat, MIN(since), SUM(messages), reason, GROUP_CONCAT(id, ''),"  # noqa: S608 - constants
        " (SELECT CASE contact_name WHEN '' THEN name ELSE contact_name END FROM chats"
        " WHERE chats.channel = waits.channel AND chats.chat = waits.chat) FROM ("
        "SELECT channel, chat, MIN(received_at) AS since, COUNT(*) AS messages, reason, id"
        f" FROM messages WHERE state = '{WITH_AGENT}'{only} GROUP BY channel, chat"
        " UNION ALL SELECT channel, chat, escalated_at, 0, :escalated, '' FROM chats"
        f" WHERE escalated_at > 0{only}) waits GROUP BY channel, chat"
        " HAVING :before IS NULL OR MIN(since) <= :before ORDER BY MIN(since)",
        values,
    )
    return tuple(
        WaitingChat(
            key=ChatKey(channel, chat),
            since=since,
            messages=count,
            reason=reason,
            message_id=message_id,
            name=name or "",
        )
        for channel, chat, since, count, reason, message_id, name in rows
    )


def _nobody_is_asked_for(connection: Connection, key: ChatKey) -> None:
    """A person has seen to the chat: what the model asked for has come."""
    connection.execute(
        "UPDATE chats SET escalated_at = 0, overdue_at = 0"
        " WHERE channel = ? AND chat = ? AND escalated_at > 0",
        key,
    )


def _change(
    connection: Connection,
    key: ChatKey,
    decide: Callable[[OpenMessage], OpenMessage],
) -> list[OpenMessage]:
    """Change the open messages of a chat; gives those that have changed, as they are now."""
    return _store(connection, connection.execute(_OPEN, key).fetchall(), decide)


def _store(
    connection: Connection,
    rows: Sequence[tuple[int, str, str, int, int, int]],
    decide: Callable[[OpenMessage], OpenMessage],
) -> list[OpenMessage]:
    changed: list[OpenMessage] = []
    for seq, state, reason, to_note, in_thread, deleted in rows:
        message = OpenMessage(
            state,
            reason,
            to_note=bool(to_note),
            in_thread=bool(in_thread),
            deleted=bool(deleted),
        )
        now = decide(message)
        if now != message:
            changed.append(now)
            connection.execute(
                "UPDATE messages SET state = ?1, reason = ?2, to_note = ?3, turn_id = CASE ?1"
                " WHEN 'received' THEN NULL ELSE turn_id END WHERE seq = ?4",
                (now.state, now.reason, int(now.to_note), seq),
            )
            if now.state == "handed_off" and not now.to_note:
                redact(connection, [seq])
    return changed
