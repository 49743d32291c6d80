"""Announcements of facts, stored in the transaction that writes the fact.

A method that writes a fact announces it with a function of this module. One row is stored for each
endpoint that wants the event; without endpoints this is one look into an empty table.
"""

from collections.abc import Sequence
from hashlib import blake2b

from daemon.domain.announcements import (
    Announcement,
    Change,
    ChatWaiting,
    ContactChanged,
    MessageReceived,
    MessageSent,
    TurnEnded,
    body_of,
    moment,
)
from daemon.domain.labels import names_in
from daemon.domain.messages import ChatKey, Message
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.changes import words
from daemon.ledger.drivers.port import Connection, listed

SUBSCRIBED = (
    "EXISTS (SELECT 1 FROM webhook_subscriptions WHERE event IN"
    f" ({listed((MessageReceived.event, MessageSent.event, ContactChanged.event))}))"
)
"""A condition: an endpoint wants what `message_stored` and `contact_changed` announce."""


def is_wanted(connection: Connection, kind: type[Announcement], number: str) -> bool:
    """Whether an endpoint wants the events of this type about a number."""
    row = connection.execute(
        "SELECT 1 FROM webhook_subscriptions WHERE event = ? AND number IN (?, '') LIMIT 1",
        (kind.event, number),
    ).fetchone()
    return row is not None


def _is_wanted_at_all(connection: Connection, kind: type[Announcement]) -> bool:
    """Whether an endpoint wants these events about any number: mostly there is none."""
    row = connection.execute(
        "SELECT 1 FROM webhook_subscriptions WHERE event = ? LIMIT 1", (kind.event,)
    ).fetchone()
    return row is not None


def announce(
    connection: Connection, key: ChatKey, announcement: Announcement, *fact: object, now: float
) -> None:
    """Store an announcement for each endpoint that wants it; ``key.chat`` may be empty.

    ``fact`` tells it from all others of its type: receivers drop what they have had by the id that
    is made of it. An announcement that is stored already is not stored again.
    """
    named = "\0".join(map(str, (announcement.event, *key, *fact)))
    webhook_id = f"msg_{blake2b(named.encode(), digest_size=16).hexdigest()}"
    connection.execute(
        "INSERT INTO webhook_deliveries (endpoint, webhook_id, event, channel, chat, payload,"
        " created_at, next_at) SELECT endpoint, ?, ?, ?, ?, ?, ?, ?"
        " FROM webhook_subscriptions WHERE event = ? AND number IN (?, '')"
        " ON CONFLICT (endpoint, webhook_id) DO NOTHING",
        (
            *(webhook_id, announcement.event, *key),
            body_of(announcement, key.number, at=now),
            *(now, 0.0),  # due at once, also if our clock is ahead and set back
            *(announcement.event, key.number),
        ),
    )


def message_stored(connection: Connection, message: Message, *, agent: bool, now: float) -> None:
    """A message of a customer, or of an agent at a phone, is new."""
    text = "" if message.disappears else words(message)
    common = {"chat": message.key.chat, "message_id": message.id, "kind": message.kind}
    announcement: Announcement
    if agent:
        announcement = MessageSent(**common, text=text, by="agent", agent=message.author_name)
    else:
        announcement = MessageReceived(
            **common,
            text=text,
            author=message.author,
            author_name=message.author_name,
            sent_at=moment(message.sent_at) if message.sent_at else None,
        )
    announce(connection, message.key, announcement, message.id, now=now)


def message_sent(connection: Connection, row_id: int, *, now: float) -> None:
    """A row of the outbox was sent; its WhatsApp id is stored.

    Echo, status and answer may all say so, and with different ids: an attempt is announced once.
    """
    if not _is_wanted_at_all(connection, MessageSent):
        return
    channel, chat, message_id, kind, body, author, turn, *attempt = connection.execute(
        "SELECT o.channel, o.chat, o.message_id, o.kind, o.body, o.author,"
        " COALESCE(t.request_id, ''), o.created_at, o.attempts FROM outbox o"
        " LEFT JOIN turns t ON t.id = o.turn_id WHERE o.id = ?",
        (row_id,),
    ).fetchone()
    if is_wanted(connection, MessageSent, channel):
        announcement = MessageSent(
            chat=chat,
            message_id=message_id,
            kind=kind,
            text=body,
            by="agent" if author else "bot",
            agent=author,
            turn=turn,
        )
        key = ChatKey(channel, chat)
        announce(connection, key, announcement, "send", row_id, *attempt, now=now)


def turn_ended(connection: Connection, turn_id: int, *, now: float) -> None:
    """A turn has an outcome, or another one than before."""
    if not _is_wanted_at_all(connection, TurnEnded):
        return
    channel, chat, turn, outcome, reason, opened_at = connection.execute(
        "SELECT channel, chat, request_id, outcome, reason, opened_at FROM turns WHERE id = ?",
        (turn_id,),
    ).fetchone()
    if not is_wanted(connection, TurnEnded, channel):
        return
    rows = connection.execute("SELECT id FROM messages WHERE turn_id = ? ORDER BY seq", (turn_id,))
    announcement = TurnEnded(
        chat=chat,
        turn=turn,
        outcome=outcome,
        reason=reason,
        messages=[row[0] for row in rows],
        opened_at=moment(opened_at),
    )
    announce(connection, ChatKey(channel, chat), announcement, turn, outcome, now, now=now)


def waiting(connection: Connection, seqs: Sequence[int], *, now: float) -> None:
    """These messages have a new state; those that wait for a person now are announced."""
    if not _is_wanted_at_all(connection, ChatWaiting):
        return
    for seq in seqs:
        channel, chat, message_id, state, reason, received_at = connection.execute(
            "SELECT channel, chat, id, state, reason, received_at FROM messages WHERE seq = ?",
            (seq,),
        ).fetchone()
        if state == WITH_AGENT and is_wanted(connection, ChatWaiting, channel):
            announcement = ChatWaiting(
                chat=chat, message_id=message_id, reason=reason, received_at=moment(received_at)
            )
            key = ChatKey(channel, chat)
            announce(connection, key, announcement, message_id, reason, now, now=now)


def contact_changed(
    connection: Connection, key: ChatKey, change: Change, *, before: str = "", now: float
) -> None:
    """A contact is new, or something of them has changed; ``before`` is their earlier chat id."""
    if not is_wanted(connection, ContactChanged, key.number):
        return
    row = connection.execute(
        "SELECT contact_name, opted_out_at, labels FROM chats WHERE channel = ? AND chat = ?", key
    ).fetchone()
    facts = connection.execute(
        "SELECT fact FROM facts WHERE channel = ? AND chat = ? ORDER BY id", key
    )
    announcement = ContactChanged(
        chat=key.chat,
        changed=change,
        name=row[0] if row else "",
        opted_out=bool(row and row[1]),
        facts=[fact for (fact,) in facts],
        labels=list(names_in(row[2])) if row else [],
        before=before,
    )
    announce(connection, key, announcement, now, announcement, now=now)


def contact_names(connection: Connection, key: ChatKey) -> tuple[str, ...]:
    """The stored name of a contact; of a new one nothing."""
    rows = connection.execute("SELECT contact_name FROM chats WHERE channel = ? AND chat = ?", key)
    return tuple(row[0] for row in rows)
