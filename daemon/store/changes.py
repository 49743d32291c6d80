"""Edits and deletions: applied to a message without an outcome, noted in the thread after it."""

import json
import sqlite3

import msgspec

from daemon.ledger import Arrival
from daemon.model import ChatKey, Deletion, Edit, Media, Message, Text
from daemon.store.rows import message_json, read_change, read_message
from daemon.store.tally import Tally
from daemon.store.thread import add_note

EARLIER_KEPT = 10
"""Wordings of an edited message that are kept beside the newest: its first, and the last nine."""
EARLIER_CHARACTERS = 4096
"""Kept of each of them; one more character, an ellipsis, stands where words are missing."""


def change_message(
    connection: sqlite3.Connection, channel: str, change: Edit | Deletion, tally: Tally
) -> None:
    """Edit or delete a message that has no outcome yet; note it in the thread if it has one."""
    row = connection.execute(
        "SELECT m.seq, m.chat, m.message, m.from_me OR m.deleted_at IS NOT NULL, m.state, t.state,"
        " m.earlier FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id WHERE m.channel = ? AND m.id = ?",
        (channel, change.target),
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO early_changes (channel, target, change, received_at)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (channel, target) DO UPDATE SET"
            " change = excluded.change, received_at = excluded.received_at"
            " WHERE json_extract(early_changes.change, '$.type') != 'deletion'",
            (channel, change.target, message_json.encode(change).decode(), tally.now),
        )
        return
    seq, chat, text, is_settled, state, turn_state, earlier = row
    key = ChatKey(channel, chat)
    message = read_message.decode(text)
    if is_settled or (isinstance(change, Edit) and words(message) == change.body):
        return
    undecided = state == "received" or (state == "in_turn" and turn_state == "open")
    if message.disappears and not undecided:
        return
    if isinstance(change, Edit):
        edited = msgspec.structs.replace(message, content=_edited(message, change))
        connection.execute(
            "UPDATE messages SET message = ?, earlier = ?, edited_at = ? WHERE seq = ?",
            (
                message_json.encode(edited).decode(),
                _with_earlier(earlier, message, until=tally.now),
                tally.now,
                seq,
            ),
        )
    else:
        connection.execute(
            "UPDATE messages SET deleted_at = ?, state = CASE state WHEN 'received'"
            " THEN 'ignored' ELSE state END, reason = CASE state WHEN 'received'"
            " THEN 'deleted by its author' ELSE reason END WHERE seq = ?",
            (tally.now, seq),
        )
    if undecided:
        tally.arrivals.append(Arrival(key=key, what="change", received_at=tally.now))
    elif state in {"answered", "in_turn", "handed_off"}:
        add_note(connection, key, change_note(message, change), now=tally.now)


def apply_early_change(connection: sqlite3.Connection, message: Message, tally: Tally) -> None:
    """Apply the change that has waited for this message, if one has."""
    row = connection.execute(
        "DELETE FROM early_changes WHERE channel = ? AND target = ? RETURNING change",
        (message.key.channel, message.id),
    ).fetchone()
    if row:
        change_message(connection, message.key.channel, read_change.decode(row[0]), tally)


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
