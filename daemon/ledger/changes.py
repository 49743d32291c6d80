"""Edits and deletions: applied to a message without an outcome, noted in the thread after it."""

import json

import msgspec

from daemon.domain.ids import chat_of, is_group
from daemon.domain.messages import ChangeOrigin, ChatKey, Deletion, Edit, Media, Message, Text
from daemon.domain.records import Arrival
from daemon.domain.transitions.handover import DELETED, WITH_AGENT
from daemon.ledger.drivers.port import Connection
from daemon.ledger.messages import message_json, read_change, read_message, redact
from daemon.ledger.people import canonical
from daemon.ledger.threads import add_note

EARLIER_KEPT = 10
"""Wordings of an edited message that are kept beside the newest: its first, and the last nine."""
EARLIER_CHARACTERS = 4096
"""Kept of each of them; one more character, an ellipsis, stands where words are missing."""

MOST_EARLY = 50
EARLY_SECONDS = 24 * 3600.0
"""So many changes of a chat wait for their messages, and so long: these are seconds late at most,
and whoever names messages that do not exist fills nothing."""


def change_message(
    connection: Connection, channel: str, change: Edit | Deletion, now: float
) -> Arrival | None:
    """Edit or delete a message that has no outcome yet; note it in the thread if it has one.

    Gives an arrival if the chat's task has to look again. Only in the same chat and for the same
    author: the id that a change names is a stranger's word.
    """
    row = connection.execute(
        "SELECT m.seq, m.chat, m.message, m.from_me OR m.deleted_at IS NOT NULL, m.state, t.state,"
        " m.earlier, m.to_note FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id WHERE m.channel = ? AND m.id = ?",
        (channel, change.target),
    ).fetchone()
    if row is None:
        _keep_for_later(connection, channel, change, now)
        return None
    seq, chat, text, is_settled, state, turn_state, earlier, to_note = row
    key = ChatKey(channel, chat)
    message = read_message.decode(text)
    if is_settled or (isinstance(change, Edit) and words(message) == change.body):
        return None
    if not _is_by_author(connection, key, message, change):
        return None
    undecided = state == "received" or (state == "in_turn" and turn_state == "open")
    waits = state == WITH_AGENT
    if message.disappears and not undecided and not waits:
        return None
    if isinstance(change, Edit):
        edited = msgspec.structs.replace(message, content=_edited(message, change))
        connection.execute(
            "UPDATE messages SET message = ?, earlier = ?, edited_at = ? WHERE seq = ?",
            (
                message_json.encode(edited).decode(),
                _with_earlier(earlier, message, until=now),
                now,
                seq,
            ),
        )
    else:
        connection.execute(
            "UPDATE messages SET deleted_at = ?1, state = CASE WHEN state IN ('received', ?2)"
            " THEN 'ignored' ELSE state END, reason = CASE WHEN state IN ('received', ?2)"
            " THEN ?3 ELSE reason END, to_note = 0 WHERE seq = ?4",
            (now, WITH_AGENT, DELETED, seq),
        )
        if state in {"received", WITH_AGENT}:  # of the others the end of the turn sees to it
            redact(connection, [seq])
    if undecided:
        return Arrival(key=key, what="change", received_at=now)
    if state in {"answered", "in_turn", "handed_off", WITH_AGENT} and not to_note:
        add_note(connection, key, change_note(message, change), now=now)
    return None


def apply_early_changes(
    connection: Connection, message: Message, now: float
) -> list[Arrival | None]:
    """Apply the changes that have waited for this message; like `change_message` for each."""
    rows = connection.execute(
        "DELETE FROM early_changes WHERE channel = ? AND target = ? RETURNING change",
        (message.key.number, message.id),
    ).fetchall()
    return [
        change_message(connection, message.key.number, read_change.decode(change), now)
        for (change,) in rows
    ]


def _keep_for_later(
    connection: Connection, channel: str, change: Edit | Deletion, now: float
) -> None:
    """Keep a change whose message has not come: the newest few of its chat, for a day."""
    if isinstance(change, Edit) and change.origin is None:
        return
    chat, author = _place(connection, channel, change.origin)
    connection.execute(
        "INSERT INTO early_changes (channel, target, chat, author, change, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, target, chat, author) DO UPDATE SET"
        " change = excluded.change, received_at = excluded.received_at"
        " WHERE json_extract(early_changes.change, '$.type') != 'deletion'",
        (channel, change.target, chat, author, message_json.encode(change).decode(), now),
    )
    connection.execute(
        "DELETE FROM early_changes WHERE (channel, target, chat, author) IN ("
        " SELECT channel, target, chat, author FROM early_changes WHERE channel = ? AND chat = ?"
        " ORDER BY received_at DESC LIMIT -1 OFFSET ?)",
        (channel, chat, MOST_EARLY),
    )
    connection.execute("DELETE FROM early_changes WHERE received_at < ?", (now - EARLY_SECONDS,))


def _is_by_author(
    connection: Connection, key: ChatKey, message: Message, change: Edit | Deletion
) -> bool:
    """Whether a change comes from where a customer's message came from.

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
    """The chat that a change was made in, and in a group by whom, under the ids that stand."""
    if origin is None:
        return "", ""
    chat = canonical(connection, ChatKey(channel, origin.chat)).chat
    return chat, _person(connection, channel, origin.author) if is_group(chat) else ""


def _person(connection: Connection, channel: str, author: str) -> str:
    """The id that stands for the author of a message, a number or a lid; empty if not known."""
    if not author:
        return ""
    return canonical(connection, ChatKey(channel, chat_of(author))).chat


def words(message: Message) -> str:
    """The words of a message: its text, or the caption of its file."""
    content = message.content
    if isinstance(content, Text):
        return content.body
    return content.caption if isinstance(content, Media) else ""


def _with_earlier(earlier: str, message: Message, *, until: float) -> str:
    """The earlier wordings with the one that an edit replaces, as they lie in the row.

    What is to disappear leaves nothing here, and a message without words has nothing to leave.
    """
    replaced = words(message)
    if message.disappears or not replaced:
        return earlier
    if len(replaced) > EARLIER_CHARACTERS:
        replaced = replaced[:EARLIER_CHARACTERS] + "…"
    kept = [*json.loads(earlier), {"words": replaced, "until": until}]
    return json.dumps([*kept[:1], *kept[1:][1 - EARLIER_KEPT :]], ensure_ascii=False)


def _edited(message: Message, change: Edit) -> Text | Media:
    """The content with its new words: an edited picture keeps the picture."""
    if isinstance(message.content, Media):
        return msgspec.structs.replace(message.content, caption=change.body)
    return Text(body=change.body)


def change_note(message: Message, change: Edit | Deletion) -> str:
    """How a change that came after the answer is told to the model."""
    if isinstance(change, Edit):
        return f"[The customer edited an earlier message. It now says:] {change.body}"
    return f"[The customer deleted an earlier message:] {words(message)}"
