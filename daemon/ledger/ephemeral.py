"""Letting go of what its author wanted to disappear: ephemeral messages, and files to be seen once.

A message is kept as long as its answer is being made. Then its row says only that there was one,
and the raw body of its webhook call goes with it. What the thread keeps of it is written in that
form from the beginning (`daemon.domain.prompt.message_text.kept`).
"""

from collections.abc import Sequence

from daemon.domain.handover import WITH_AGENT
from daemon.domain.messages import Edit, Message
from daemon.domain.prompt.message_text import without_words
from daemon.ledger.drivers.port import Connection
from daemon.ledger.message_rows import message_json, read_message

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
        isinstance(content, Edit) and target_disappears(connection, message.key.channel, content)
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
