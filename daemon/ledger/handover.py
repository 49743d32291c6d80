"""The rows of a handover: pauses, and messages that wait for a person.

`daemon.domain.transitions.handover` decides; this module reads and writes, inside the caller's
transaction. It is the one place that writes a pause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from daemon.domain.announcements import ChatGivenBack, ChatTakenOver, moment
from daemon.domain.messages import ChatKey
from daemon.domain.states import DELIVERING, HANDED_OFF, IN_TURN, RECEIVED, WITH_AGENT, Outcome
from daemon.domain.transitions.handover import (
    AN_AGENT,
    ESCALATED,
    Event,
    Hold,
    OpenMessage,
    after,
    agent_has_written,
    given_back,
    held,
    paused,
    seen_to,
    waits_because,
)
from daemon.domain.transitions.turns import after_turn
from daemon.ledger import announcements
from daemon.ledger.desk import assign, mark_turn_unread, mark_unread, seen
from daemon.ledger.drivers.port import Connection
from daemon.ledger.messages import IN_CHAT, UNANSWERED, in_chat, redact

_OPEN = (
    # Two selects, each with the condition of the index that has these messages.
    f"SELECT o.seq, o.state, o.reason, o.to_note, CASE t.state WHEN '{DELIVERING}' THEN 1 ELSE 0"
    " END, o.deleted_at FROM (SELECT seq, state, reason, to_note, deleted_at, turn_id FROM messages"
    f" WHERE {IN_CHAT} AND from_me = 0 AND {UNANSWERED}) o LEFT JOIN turns t ON t.id = o.turn_id"
    " UNION ALL SELECT seq, state, reason, to_note, 0, NULL FROM messages"
    f" WHERE channel = ? AND chat = ? AND from_me = 0 AND state = '{WITH_AGENT}'"
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


# -- who answers a chat ----------------------------------------------------------------------------


def hold_of(connection: Connection, key: ChatKey) -> Hold:
    """The hold on a chat: its pause and its escalation."""
    row = connection.execute(
        "SELECT paused_until, loop_until, escalated_at, overdue_at FROM chats"
        " WHERE channel = ? AND chat = ?",
        key,
    ).fetchone()
    return Hold(*row) if row else Hold()


def change_hold(connection: Connection, key: ChatKey, decide: Callable[[Hold], Hold]) -> Hold:
    """Change what keeps the bot out of a chat; gives what did before."""
    before = hold_of(connection, key)
    hold = decide(before)
    if hold != before:
        connection.execute(
            "UPDATE chats SET paused_until = ?, loop_until = ?, escalated_at = ?, overdue_at = ?"
            " WHERE channel = ? AND chat = ?",
            (hold.paused_until, hold.loop_until, hold.escalated_at, hold.overdue_at, *key),
        )
    return before


def agent_wrote(connection: Connection, key: ChatKey, *, pause_until: float, now: float) -> None:
    """Close what an agent's message answers, and pause the bot until a time (0: not at all)."""
    seen(connection, key)
    before = change_hold(connection, key, lambda hold: agent_has_written(hold, pause_until))
    if pause_until and (before.is_escalated or not before.is_paused(now)):
        taken = ChatTakenOver(chat=key.chat, by="agent", until=moment(pause_until))
        announcements.announce(connection, key, taken, now, now=now)
    apply_event(connection, key, "agent wrote" if pause_until else "agent wrote beside the bot")


def give_back(connection: Connection, key: ChatKey, *, now: float) -> tuple[Hold, bool]:
    """Let the bot answer in a chat, also what waits there.

    Gives what kept it out before, and whether that or a message has changed.
    """
    assign(connection, key, None)
    before = change_hold(connection, key, lambda hold: given_back(hold, now))
    waits = apply_event(connection, key, "given back")
    if before.is_paused(now):
        announcements.announce(connection, key, ChatGivenBack(chat=key.chat), now, now=now)
    return before, bool(waits) or before != hold_of(connection, key)


def pause(connection: Connection, key: ChatKey, until: float, *, now: float) -> Hold:
    """Keep the bot out of a chat until a time, by an operator; gives what did before."""
    before = change_hold(connection, key, lambda hold: paused(hold, until))
    taken = ChatTakenOver(chat=key.chat, by="operator", until=moment(until))
    announcements.announce(connection, key, taken, now, now=now)
    return before


def mark_done(connection: Connection, key: ChatKey) -> tuple[int, bool]:
    """Count what waits for a person in a chat as handled.

    Gives how many messages were closed, and whether they or the hold on the chat have changed.
    """
    seen(connection, key)
    assign(connection, key, None)
    before = change_hold(connection, key, seen_to)
    closed = len(_change(connection, key, lambda message: after(message, "done")))
    return closed, bool(closed) or before != hold_of(connection, key)


def chats_named(
    connection: Connection, chat: str, channel: str | None = None
) -> tuple[ChatKey, ...]:
    """The chats with this id, on one channel or on all that know it."""
    only, values = ("", (chat,)) if channel is None else (" AND channel = ?", (chat, channel))
    rows = connection.execute(f"SELECT channel, chat FROM chats WHERE chat = ?{only}", values)
    return tuple(ChatKey(*row) for row in rows)


# -- open messages ---------------------------------------------------------------------------------


def apply_event(connection: Connection, key: ChatKey, event: Event) -> int:
    """Let an event change a chat's open messages; gives how many now wait for the bot again."""
    changed = _change(connection, key, lambda message: after(message, event))
    return sum(message.state == RECEIVED for message in changed.values())


def hold_waiting(connection: Connection, key: ChatKey, now: float) -> int:
    """Leave what waits for the bot to a person if the chat is paused; gives how many messages."""
    reason = waits_because(hold_of(connection, key), now)
    if not reason:
        return 0
    changed = _change(connection, key, lambda message: held(message, reason))
    if changed:
        mark_unread(connection, key, now=now)
    announcements.waiting(connection, list(changed), now=now)
    return len(changed)


def end_messages(
    connection: Connection,
    turn_id: int,
    outcome: Outcome,
    reason: str,
    *,
    in_thread: bool,
    now: float,
) -> None:
    """Set the outcome of a turn's messages. ``in_thread``: the thread has their words."""
    rows = connection.execute(
        "SELECT seq, state, reason, to_note, 0, deleted_at FROM messages WHERE turn_id = ?"
        f" AND (state = '{IN_TURN}' OR to_note = 1)",
        (turn_id,),
    ).fetchall()
    changed = _store(
        connection,
        rows,
        lambda message: after_turn(message, outcome, reason, in_thread=in_thread),
    )
    if any(message.state == WITH_AGENT for message in changed.values()):
        mark_turn_unread(connection, turn_id, now=now)
    announcements.waiting(connection, list(changed), now=now)


def signals(connection: Connection, key: ChatKey) -> tuple[bool, bool]:
    """Whether the end of a chat's pause changes something, and whether messages are to note."""
    waits, notes = connection.execute(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM chats WHERE channel = :number AND chat = :chat"
        " AND escalated_at > 0 AND overdue_at = 0) OR EXISTS (SELECT 1 FROM messages"
        " WHERE channel = :number AND chat = :chat"
        f" AND state = '{WITH_AGENT}' AND reason = '{AN_AGENT}') THEN 1 ELSE 0 END,"
        " CASE WHEN EXISTS (SELECT 1 FROM messages WHERE channel = :number AND chat = :chat"
        " AND to_note = 1) THEN 1 ELSE 0 END",
        key._asdict(),
    ).fetchone()
    return bool(waits), bool(notes)


def waiting_chats(
    connection: Connection, key: ChatKey | None = None, *, before: float | None = None
) -> tuple[WaitingChat, ...]:
    """The chats that wait for a person, one or all; the longest first.

    ``before`` (Unix seconds): only those that have waited since then or longer.
    """
    of_chat, values = ("", ()) if key is None else (" AND m.channel = ? AND m.chat = ?", key)
    messages = connection.execute(
        "SELECT m.channel, m.chat, c.contact_name, c.name, m.received_at, m.reason, m.id"
        " FROM messages m LEFT JOIN chats c ON c.channel = m.channel AND c.chat = m.chat"
        f" WHERE m.state = '{WITH_AGENT}'{of_chat} ORDER BY m.received_at, m.seq",
        values,
    )
    waiting: dict[ChatKey, WaitingChat] = {}
    for channel, chat, contact_name, name, since, reason, message_id in messages:
        one = waiting.get(ChatKey(channel, chat)) or WaitingChat(
            key=ChatKey(channel, chat),
            since=since,
            messages=0,
            reason=reason,
            message_id=message_id,
            name=contact_name or name or "",
        )
        waiting[one.key] = replace(one, messages=one.messages + 1)
    escalations = connection.execute(
        "SELECT m.channel, m.chat, m.contact_name, m.name, m.escalated_at FROM chats m"
        f" WHERE m.escalated_at > 0{of_chat}",
        values,
    )
    for channel, chat, contact_name, name, since in escalations:
        one = waiting.get(ChatKey(channel, chat)) or WaitingChat(
            key=ChatKey(channel, chat),
            since=since,
            messages=0,
            reason=ESCALATED,
            name=contact_name or name,
        )
        earlier = replace(one, since=since, reason=ESCALATED) if since < one.since else one
        waiting[one.key] = earlier
    oldest_first = sorted(waiting.values(), key=lambda one: one.since)
    return tuple(one for one in oldest_first if before is None or one.since <= before)


def _change(
    connection: Connection,
    key: ChatKey,
    decide: Callable[[OpenMessage], OpenMessage],
) -> dict[int, OpenMessage]:
    """Change the open messages of a chat; gives those that have changed, as they are now."""
    rows = connection.execute(_OPEN, (*in_chat(key), *key)).fetchall()
    return _store(connection, rows, decide)


def _store(
    connection: Connection,
    rows: Sequence[tuple[int, str, str, int, int, float | None]],
    decide: Callable[[OpenMessage], OpenMessage],
) -> dict[int, OpenMessage]:
    changed: dict[int, OpenMessage] = {}
    for seq, state, reason, to_note, in_thread, deleted_at in rows:
        message = OpenMessage(
            state,
            reason,
            to_note=bool(to_note),
            in_thread=bool(in_thread),
            deleted=deleted_at is not None,
        )
        now = decide(message)
        if now == message:
            continue
        changed[seq] = now
        leaves_turn = ", turn_id = NULL" if now.state == RECEIVED else ""
        connection.execute(
            f"UPDATE messages SET state = ?, reason = ?, to_note = ?{leaves_turn} WHERE seq = ?",
            (now.state, now.reason, int(now.to_note), seq),
        )
        if now.state == HANDED_OFF and not now.to_note:
            redact(connection, [seq])
    return changed
