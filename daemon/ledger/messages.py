"""Rows of messages: their values, their conditions, and words that are to disappear.

An ephemeral message, or a file to be seen once, is kept while its answer is made. Then its row says
only that there was one, and the raw body of its webhook call is dropped. The thread has it in that
form from the beginning (`daemon.domain.prompt.message_text.kept`).
"""

from collections.abc import Sequence

import msgspec

from daemon.domain.messages import ChatKey, Deletion, Edit, Message
from daemon.domain.prompt.message_text import without_words
from daemon.domain.records import StoredMessage
from daemon.domain.states import FOR_BOT, RECEIVED, WITH_AGENT
from daemon.domain.transitions.sends import ECHO
from daemon.ledger.drivers.port import Connection, listed

message_json = msgspec.json.Encoder()
read_message = msgspec.json.Decoder(Message)
read_change = msgspec.json.Decoder(Edit | Deletion)

UNANSWERED = f"state IN ({listed(FOR_BOT)})"
"""The condition of messages that the bot is to answer: that of the index ``messages_open``."""

IN_CHAT = (
    "channel || '/' || chat = ? AND seq >= (SELECT MIN(o.seq) FROM messages o"
    f" WHERE o.channel = ? AND o.{UNANSWERED})"
)
"""The condition of a chat's messages since the number's oldest unanswered one; see `in_chat`.

The index ``messages_open`` is in the order of arrival, so that messages of many chats go into one
page of it. So what one chat has of them is looked for in the index of all its messages.
"""

WAITING = f"({UNANSWERED} AND state = '{RECEIVED}')"
"""The condition of messages that no turn has taken. It repeats the condition of the index because
SQLite uses a partial index only then."""

SHOWN = (
    f"NOT (m.from_me = 1 AND m.reason = '{ECHO}') AND substr(m.id, 1, 10) != 'dashboard-'"
    " AND m.content_type NOT IN ('reaction', 'edit', 'deletion')"
)
"""The condition of messages ``m`` that are bubbles of their own."""


def in_chat(key: ChatKey) -> tuple[str, str]:
    """Return the values of `IN_CHAT`."""
    return "/".join(key), key.number


def stored_message(seq: int, message: str, received_at: float) -> StoredMessage:
    """Read one row of ``messages``."""
    return StoredMessage(seq=seq, message=read_message.decode(message), received_at=received_at)


def redact_turn(connection: Connection, turn_id: int) -> None:
    """Empty the messages of a turn that has its outcome, as far as they are to disappear.

    Those that wait for a person, or are still to be put into the thread, stay until that is over.
    Inside the caller's transaction, like the other functions here.
    """
    rows = connection.execute(
        "SELECT seq, event_id, message FROM messages WHERE turn_id = ?"
        f" AND state != '{WITH_AGENT}' AND to_note = 0",
        (turn_id,),
    )
    _empty(connection, rows.fetchall())


def redact(connection: Connection, seqs: Sequence[int]) -> None:
    """Empty these messages, as far as they are to disappear and do not wait for a person."""
    for seq in seqs:
        rows = connection.execute(
            "SELECT seq, event_id, message FROM messages"
            f" WHERE seq = ? AND state != '{WITH_AGENT}'",
            (seq,),
        )
        _empty(connection, rows.fetchall())


def to_disappear(connection: Connection, message: Message) -> bool:
    """Whether a message, or the one that it edits, is to disappear."""
    content = message.content
    return message.disappears or (
        isinstance(content, Edit) and target_disappears(connection, message.key.number, content)
    )


def target_disappears(connection: Connection, channel: str, edit: Edit) -> bool:
    """Whether the message that an edit changes is to disappear."""
    row = connection.execute(
        "SELECT message FROM messages WHERE channel = ? AND id = ?", (channel, edit.target)
    ).fetchone()
    return row is not None and read_message.decode(row[0]).disappears


def drop_raw_event(connection: Connection, event_id: int) -> None:
    """Drop the raw body of a webhook call; retention deletes its file, if it has one."""
    connection.execute(
        "UPDATE events SET body = NULL, doomed = CASE body_file WHEN '' THEN 0 ELSE 1 END"
        " WHERE id = ?",
        (event_id,),
    )


def _empty(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    for seq, event_id, text in rows:
        message = read_message.decode(text)
        if not message.disappears:
            continue
        connection.execute(
            "UPDATE messages SET message = ?, earlier = '[]' WHERE seq = ?",
            (message_json.encode(without_words(message)).decode(), seq),
        )
        drop_raw_event(connection, event_id)
