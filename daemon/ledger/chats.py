"""Chats as their tasks see them: a snapshot to begin with, their pace, what waits for a person."""

from dataclasses import dataclass

from daemon.domain.limits import Exchange
from daemon.domain.messages import ChatKey, Text
from daemon.domain.records import ChatRecord, NewPart, OutboxRow, StoredMessage, Turn
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import (
    AN_AGENT,
    customer_notified,
    notice_is_due,
    stopped_loop,
)
from daemon.ledger.drivers.port import Connection, Role, query, reading, transaction, writing
from daemon.ledger.handover import (
    apply_event,
    change_hold,
    hold_of,
    hold_waiting,
    signals,
    waiting_chats,
)
from daemon.ledger.messages import read_message, stored_message
from daemon.ledger.outbox import open_rows, queue_notice
from daemon.ledger.threads import append, chat_record
from daemon.ledger.turns import active_turn

LOOKED_AT = 100
"""Parts of answers that are looked at: more than the rate limits let through in ten minutes."""


def recent_exchanges(connection: Connection, key: ChatKey, *, since: float) -> tuple[Exchange, ...]:
    """The turns answered since a time (Unix seconds) and since the last loop, oldest first."""
    answered = connection.execute(
        "SELECT turn_id, MIN(sent_at), MAX(sent_at) FROM (SELECT turn_id, sent_at"
        " FROM outbox WHERE channel = ? AND chat = ? ORDER BY id DESC LIMIT ?) newest"
        " WHERE turn_id IS NOT NULL AND sent_at > ? AND sent_at > COALESCE("
        " (SELECT loop_at FROM chats WHERE channel = ? AND chat = ?), 0)"
        " GROUP BY turn_id ORDER BY turn_id",
        (*key, LOOKED_AT, since, *key),
    ).fetchall()
    return tuple(
        _exchange(connection, turn_id, sent_from, sent_until)
        for turn_id, sent_from, sent_until in answered
    )


class Exchanges(Role):
    """The last turns of a chat with their times, by which a loop is seen and stopped.

    Only a chat's own task may change it; any task may read.
    """

    recent = reading(recent_exchanges)

    @transaction
    def stop_loop(self, connection: Connection, key: ChatKey, *, until: float, now: float) -> None:
        """Keep the bot out of a chat until a time, because it talks with a machine there."""
        change_hold(connection, key, lambda hold: stopped_loop(hold, until))
        connection.execute(
            "UPDATE chats SET loop_at = ? WHERE channel = ? AND chat = ?", (now, *key)
        )


def _exchange(
    connection: Connection, turn_id: int, sent_from: float, sent_until: float
) -> Exchange:
    rows = connection.execute(
        "SELECT message, received_at FROM messages WHERE turn_id = ? ORDER BY seq", (turn_id,)
    ).fetchall()
    contents = [read_message.decode(message).content for message, _ in rows]
    return Exchange(
        inbound_at=rows[0][1] if rows else sent_from,
        texts=tuple(content.body for content in contents if isinstance(content, Text)),
        sent_from=sent_from,
        sent_until=sent_until,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSnapshot:
    """A chat as an earlier task of it, or an earlier process, has left it."""

    chat: ChatRecord
    turn: Turn | None
    """The turn that has no outcome yet."""
    to_send: tuple[OutboxRow, ...]
    """Unsent messages, in order."""
    exchanges: tuple[Exchange, ...]
    """The last turns, oldest first."""
    waits: bool
    """True if the end of its pause changes something."""
    notes: bool
    """True if a person has or has closed a message that is not in the thread."""


class ChatSnapshots(Role):
    """Snapshots of chats. Any task may call it."""

    @query
    def of(self, connection: Connection, key: ChatKey, *, since: float) -> ChatSnapshot:
        """A chat as it is now, with its turns answered since a time (Unix seconds)."""
        waits, notes = signals(connection, key)
        return ChatSnapshot(
            chat=chat_record(connection, key),
            turn=active_turn(connection, key),
            to_send=open_rows(connection, key),
            exchanges=recent_exchanges(connection, key, since=since),
            waits=waits,
            notes=notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEnd:
    """The effect of a pause's end."""

    paused_until: float = 0
    """When the pause ends, Unix seconds; if that lies ahead, nothing was done."""
    given_back: int = 0
    """How many messages the bot is to answer."""
    notice: bool = False
    """True if the customer is notified that no person has come; it is in the outbox."""


class Handovers(Role):
    """Messages and chats that wait for a person. Any task may call it."""

    waiting_chats = reading(waiting_chats)
    signals = reading(signals)

    hold = writing(hold_waiting)

    @transaction
    def end_pause(
        self, connection: Connection, key: ChatKey, notice: NewPart, *, now: float
    ) -> PauseEnd:
        """Return the waiting messages of a chat to the bot after its pause.

        What the model has left to a person goes on waiting; ``notice`` tells the customer, once,
        that no person has come. Called by the task of the chat.
        """
        state = hold_of(connection, key)
        if state.is_paused(now):
            return PauseEnd(paused_until=state.paused_until)
        due = notice_is_due(state, now)
        if due:
            change_hold(connection, key, lambda hold: customer_notified(hold, now))
            due = queue_notice(connection, key, notice, now=now)
        given_back = apply_event(connection, key, "pause ended")
        if due:
            note = {"role": "assistant", "content": notice.body}
            append(connection, key, None, [note], now=now)
        return PauseEnd(paused_until=state.paused_until, given_back=given_back, notice=due)

    @query
    def to_note(
        self, connection: Connection, key: ChatKey, *, waiting_too: bool
    ) -> tuple[StoredMessage, ...]:
        """A customer's messages that are closed and not in the thread.

        ``waiting_too``: also those that go on waiting for a person.
        """
        rows = connection.execute(
            "SELECT seq, message, received_at FROM messages WHERE channel = ? AND chat = ?"
            f" AND to_note = 1 AND (? = 1 OR state != '{WITH_AGENT}') AND deleted_at IS NULL"
            " ORDER BY seq",
            (*key, int(waiting_too)),
        )
        return tuple(stored_message(*row) for row in rows)

    @query
    def chats_with_work(self, connection: Connection, *, now: float) -> tuple[ChatKey, ...]:
        """The chats whose task has work: a pause is over, or messages are to be noted."""
        over = "AND paused_until <= ?"
        rows = connection.execute(
            f"{_ESCALATED} {over} UNION {_BY_AGENT} {over} UNION {_TO_NOTE}", (now, now)
        )
        return tuple(dict.fromkeys(ChatKey(channel, chat) for channel, chat, _ in rows))

    @query
    def pauses(self, connection: Connection, *, now: float) -> tuple[tuple[ChatKey, float], ...]:
        """The chats with work at the end of their pause, and when it ends, Unix seconds.

        Only pauses that go on: the others are in `chats_with_work`.
        """
        ahead = "AND paused_until > ?"
        rows = connection.execute(f"{_ESCALATED} {ahead} UNION {_BY_AGENT} {ahead}", (now, now))
        return tuple((ChatKey(channel, chat), until) for channel, chat, until in rows)


_ESCALATED = (
    "SELECT channel, chat, paused_until FROM chats WHERE escalated_at > 0 AND overdue_at = 0"
)
_BY_AGENT = (
    "SELECT m.channel, m.chat, paused_until FROM messages m"
    " JOIN chats ON chats.channel = m.channel AND chats.chat = m.chat"
    f" WHERE m.state = '{WITH_AGENT}' AND m.reason = '{AN_AGENT}'"
)
_TO_NOTE = (
    f"SELECT channel, chat, 0.0 FROM messages WHERE to_note = 1 AND state != '{WITH_AGENT}'"
    " AND deleted_at IS NULL"
)
