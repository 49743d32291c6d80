"""Edits and deletions: applied to the stored message, or kept until their message comes.

`daemon.domain.transitions.changes` decides what a change does. All of it happens inside the
caller's transaction.
"""

import json

from daemon.domain.ids import chat_of, is_group
from daemon.domain.messages import ChangeOrigin, ChatKey, Deletion, Edit, Message
from daemon.domain.records import Arrival
from daemon.domain.transitions.changes import Changeable, Changed, after_change
from daemon.ledger.drivers.port import Connection
from daemon.ledger.messages import message_json, read_change, read_message, redact
from daemon.ledger.people import canonical
from daemon.ledger.threads import add_note

MOST_EARLY = 50
EARLY_SECONDS = 24 * 3600.0
"""How many changes of a chat wait for their messages, and how long. Real ones are seconds early;
the limits bound what a sender can fill by naming messages that do not exist."""


def change_message(
    connection: Connection, channel: str, change: Edit | Deletion, now: float
) -> Arrival | None:
    """Apply a change, or keep it if its message has not come.

    Gives an arrival if the chat's task has to look at the message again.
    """
    row = connection.execute(
        "SELECT m.seq, m.chat, m.message, m.from_me, m.deleted_at, m.state, m.reason, m.to_note,"
        " m.earlier, COALESCE(t.state, '') FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id WHERE m.channel = ? AND m.id = ?",
        (channel, change.target),
    ).fetchone()
    if row is None:
        _keep_for_later(connection, channel, change, now)
        return None
    seq, chat, text, from_me, deleted_at, state, reason, to_note, earlier, turn_state = row
    key = ChatKey(channel, chat)
    before = Changeable(
        message=read_message.decode(text),
        state=state,
        reason=reason,
        to_note=bool(to_note),
        turn_state=turn_state,
        is_closed=bool(from_me) or deleted_at is not None,
        earlier=tuple(json.loads(earlier)),
    )
    by_author = _is_by_author(connection, key, before.message, change)
    changed = after_change(before, change, by_author=by_author, now=now)
    if changed is None:
        return None
    _store(connection, seq, changed, now)
    if changed.note:
        add_note(connection, key, changed.note, now=now)
    return Arrival(key=key, what="change", received_at=now) if changed.wakes_chat else None


def apply_early_changes(
    connection: Connection, message: Message, now: float
) -> list[Arrival | None]:
    """Apply the changes that have waited for this message, each as `change_message` does."""
    rows = connection.execute(
        "DELETE FROM early_changes WHERE channel = ? AND target = ? RETURNING change",
        (message.key.number, message.id),
    ).fetchall()
    return [
        change_message(connection, message.key.number, read_change.decode(change), now)
        for (change,) in rows
    ]


def _store(connection: Connection, seq: int, changed: Changed, now: float) -> None:
    if changed.is_deleted:
        connection.execute(
            "UPDATE messages SET deleted_at = ?, state = ?, reason = ?, to_note = ? WHERE seq = ?",
            (now, changed.state, changed.reason, int(changed.to_note), seq),
        )
    else:
        connection.execute(
            "UPDATE messages SET message = ?, earlier = ?, edited_at = ? WHERE seq = ?",
            (
                message_json.encode(changed.message).decode(),
                json.dumps(changed.earlier, ensure_ascii=False),
                now,
                seq,
            ),
        )
    if changed.forget_words:
        redact(connection, [seq])


def _keep_for_later(
    connection: Connection, channel: str, change: Edit | Deletion, now: float
) -> None:
    """Keep a change whose message has not come: the newest few of its chat, for a day."""
    if isinstance(change, Edit) and change.origin is None:
        return
    chat, author = _place(connection, channel, change.origin)
    place = (channel, change.target, chat, author)
    kept = connection.execute(
        "SELECT change FROM early_changes WHERE channel = ? AND target = ? AND chat = ?"
        " AND author = ?",
        place,
    ).fetchone()
    if kept is None or not isinstance(read_change.decode(kept[0]), Deletion):
        connection.execute(
            "INSERT INTO early_changes (channel, target, chat, author, change, received_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, target, chat, author) DO UPDATE SET"
            " change = excluded.change, received_at = excluded.received_at",
            (*place, message_json.encode(change).decode(), now),
        )
    connection.execute(
        "DELETE FROM early_changes WHERE channel = ? AND chat = ? AND (target, author) NOT IN"
        " (SELECT target, author FROM early_changes WHERE channel = ? AND chat = ?"
        " ORDER BY received_at DESC LIMIT ?)",
        (channel, chat, channel, chat, MOST_EARLY),
    )
    connection.execute("DELETE FROM early_changes WHERE received_at < ?", (now - EARLY_SECONDS,))


def _is_by_author(
    connection: Connection, key: ChatKey, message: Message, change: Edit | Deletion
) -> bool:
    """Whether a change was made where, and in a group by whom, a customer's message was written.

    A deletion without an origin is the gateway's own word of what is gone, so it counts; an edit
    always says where it was made.
    """
    if change.origin is None:
        return isinstance(change, Deletion)
    if change.origin.from_me:
        return False
    chat, author = _place(connection, key.number, change.origin)
    if chat != canonical(connection, key).chat:
        return False
    return not message.is_group or (
        author != "" and author == _person(connection, key.number, message.author)
    )


def _place(connection: Connection, channel: str, origin: ChangeOrigin | None) -> tuple[str, str]:
    """The chat that a change was made in, and in a group by whom, under their canonical ids."""
    if origin is None:
        return "", ""
    chat = canonical(connection, ChatKey(channel, origin.chat)).chat
    return chat, _person(connection, channel, origin.author) if is_group(chat) else ""


def _person(connection: Connection, channel: str, author: str) -> str:
    """The canonical id of the author of a message; empty if not known."""
    if not author:
        return ""
    return canonical(connection, ChatKey(channel, chat_of(author))).chat
