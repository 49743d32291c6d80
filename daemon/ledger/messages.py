"""Messages as they lie in rows: JSON there, values here."""

from collections.abc import Sequence

import msgspec

from daemon.domain.messages import Deletion, Edit, Message
from daemon.domain.prompt.message_text import without_words
from daemon.domain.records import StoredMessage
from daemon.domain.transitions.handover import WITH_AGENT
from daemon.ledger.drivers.port import Connection

message_json = msgspec.json.Encoder()
read_message = msgspec.json.Decoder(Message)
read_change = msgspec.json.Decoder(Edit | Deletion)

WAITING = "(state IN ('received', 'in_turn') AND state = 'received')"
"""The condition of messages that no turn has taken. Only because it repeats the index's own, word
by word, does SQLite use the index ``messages_open`` for it."""


def stored_message(seq: int, message: str, received_at: float) -> StoredMessage:
    """Read one row of ``messages``."""
    return StoredMessage(seq=seq, message=read_message.decode(message), received_at=received_at)


# Letting go of what its author wanted to disappear: ephemeral messages, and files to be seen once.
#
# A message is kept as long as its answer is being made. Then its row says only that there was one,
# and the raw body of its webhook call goes with it. What the thread keeps of it is written in that
# form from the beginning (`daemon.domain.prompt.message_text.kept`).


_DISAPPEARS = (
    "(json_extract(message, '$.ephemeral') = 1 OR json_extract(message, '$.content.view_once') = 1)"
)


def redact_turn(connection: Connection, turn_id: int) -> int:
    """Empty the messages of a turn that has its outcome, as far as they are to disappear.

    Those that wait for a person, or are still to be put into the thread, stay until that is over.
    Gives how many they were. Inside the caller's transaction, like the other function here.
    """
    rows = connection.execute(
        f"SELECT seq, event_id, message FROM messages WHERE turn_id = ? AND {_DISAPPEARS}"  # noqa: S608 - constants
        f" AND state != '{WITH_AGENT}' AND to_note = 0",
        (turn_id,),
    )
    return _empty(connection, rows.fetchall())


def redact(connection: Connection, seqs: Sequence[int]) -> int:
    """Empty these messages, as far as they are to disappear; gives how many they were.

    One that still waits for a person stays until that is over.
    """
    rows = [
        row
        for seq in seqs
        for row in connection.execute(
            f"SELECT seq, event_id, message FROM messages WHERE seq = ? AND {_DISAPPEARS}"  # noqa: S608 - constants
            f" AND state != '{WITH_AGENT}'",
            (seq,),
        )
    ]
    return _empty(connection, rows)


def to_disappear(connection: Connection, message: Message) -> bool:
    """Whether a message says what is not to be kept: itself, or for the one that it edits."""
    content = message.content
    return message.disappears or (
        isinstance(content, Edit) and target_disappears(connection, message.key.number, content)
    )


def target_disappears(connection: Connection, channel: str, edit: Edit) -> bool:
    """Whether the message that an edit changes is one that is to disappear."""
    row = connection.execute(
        f"SELECT 1 FROM messages WHERE channel = ? AND id = ? AND {_DISAPPEARS}",  # noqa: S608 - constant
        (channel, edit.target),
    ).fetchone()
    return row is not None


def drop_raw_event(connection: Connection, event_id: int) -> None:
    """Let go of what a webhook call said; its file, if it has one, goes with the next retention."""
    connection.execute(
        "UPDATE events SET body = NULL, doomed = body_file != '' WHERE id = ?", (event_id,)
    )


def _empty(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> int:
    for seq, event_id, text in rows:
        empty = message_json.encode(without_words(read_message.decode(text))).decode()
        connection.execute(
            "UPDATE messages SET message = ?, earlier = '[]' WHERE seq = ?", (empty, seq)
        )
        drop_raw_event(connection, event_id)
    return len(rows)
