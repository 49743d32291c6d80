"""Answered turns as they were, to be played again; and the past that a rehearsal begins with.

Functions of a connection, for commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from daemon.domain.ids import is_group
from daemon.domain.messages import ChatKey, JsonObject, Media, Message, Text
from daemon.domain.states import ANSWERED
from daemon.ledger.drivers.port import Connection
from daemon.ledger.messages import read_message
from daemon.ledger.threads import append

PAST_ITEMS = 60
"""Of the thread before a turn, that it is played with."""

OF_ONE_MODEL = frozenset({"reasoning", "compaction"})
"""Items that another model cannot read."""

_read_item = msgspec.json.Decoder(JsonObject)


@dataclass(frozen=True, slots=True)
class RecordedToolCall:
    """A call of a tool, and its output."""

    tool: str
    arguments: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTurn:
    """One answered turn."""

    key: ChatKey
    turn_id: int
    request_id: str
    """The turn's name in the log and the dashboard."""
    opened_at: float
    name: str
    """How the customer calls themselves."""
    says: tuple[str, ...]
    """The burst; empty if something of it is no text and no transcript."""
    answers: tuple[str, ...]
    calls: tuple[RecordedToolCall, ...]
    past: tuple[JsonObject, ...]
    """The thread before it."""
    version: str
    """What it was answered with; empty for turns of before versions were kept."""


def recordings_since(
    connection: Connection, number: str, since: float, *, most: int
) -> list[RecordedTurn]:
    """The newest answered turns of a number's private chats since a Unix time, oldest first."""
    rows = connection.execute(
        "SELECT turns.id, chat, request_id, opened_at, digest FROM turns"
        " LEFT JOIN versions ON versions.id = version_id"
        " WHERE channel = ? AND opened_at >= ? AND outcome = ? ORDER BY turns.id DESC LIMIT ?",
        (number, since, ANSWERED, most),
    ).fetchall()
    return [_recording(connection, number, *row) for row in reversed(rows) if not is_group(row[1])]


def recordings_until(
    connection: Connection, key: ChatKey, request_id: str, *, most: int
) -> list[RecordedTurn]:
    """The last answered turns of a chat up to a turn of it, oldest first."""
    rows = connection.execute(
        "SELECT turns.id, chat, request_id, opened_at, digest FROM turns"
        " LEFT JOIN versions ON versions.id = version_id WHERE channel = ? AND chat = ?"
        " AND outcome = ? AND turns.id <= (SELECT MAX(id) FROM turns WHERE request_id = ?)"
        " ORDER BY turns.id DESC LIMIT ?",
        (*key, ANSWERED, request_id, most),
    ).fetchall()
    return [_recording(connection, key.number, *row) for row in reversed(rows)]


def recording_of(connection: Connection, key: ChatKey, turn_id: int) -> RecordedTurn:
    """One turn of a chat, without what was said before it."""
    request_id, opened_at = connection.execute(
        "SELECT request_id, opened_at FROM turns WHERE id = ?", (turn_id,)
    ).fetchone()
    return _recording(
        connection, key.number, turn_id, key.chat, request_id, opened_at, "", with_past=False
    )


def _recording(
    connection: Connection,
    number: str,
    turn_id: int,
    chat: str,
    request_id: str,
    opened_at: float,
    digest: str | None,
    *,
    with_past: bool = True,
) -> RecordedTurn:
    rows = connection.execute(
        "SELECT message, media.words FROM messages"
        " LEFT JOIN media ON media.channel = messages.channel AND media.message_id = messages.id"
        " WHERE turn_id = ? AND deleted_at IS NULL ORDER BY seq",
        (turn_id,),
    ).fetchall()
    messages = [(read_message.decode(message), words) for message, words in rows]
    texts = [text_of(message, words) for message, words in messages]
    names = [message.author_name for message, _ in messages if message.author_name]
    sends = connection.execute(
        "SELECT body FROM outbox WHERE turn_id = ? AND body != '' ORDER BY id", (turn_id,)
    )
    calls = connection.execute(
        "SELECT tool, arguments, output FROM tool_calls WHERE turn_id = ? ORDER BY id", (turn_id,)
    )
    return RecordedTurn(
        key=ChatKey(number, chat),
        turn_id=turn_id,
        request_id=request_id,
        opened_at=opened_at,
        name=names[-1] if names else "",
        says=tuple(texts) if all(texts) else (),
        answers=tuple(str(body) for (body,) in sends),
        calls=tuple(RecordedToolCall(*map(str, call)) for call in calls),
        past=_past(connection, ChatKey(number, chat), turn_id) if with_past else (),
        version=digest or "",
    )


def text_of(message: Message, words: str | None) -> str:
    """What a customer wrote or said; empty for anything else."""
    content = message.content
    if isinstance(content, Text):
        return content.body
    if isinstance(content, Media) and content.medium in {"voice", "audio", "ptt"}:
        return words or ""
    return ""


def _past(connection: Connection, key: ChatKey, turn_id: int) -> tuple[JsonObject, ...]:
    rows = connection.execute(
        "SELECT item FROM thread_items WHERE channel = ? AND chat = ?"
        " AND id < (SELECT MIN(id) FROM thread_items WHERE turn_id = ?) ORDER BY id DESC LIMIT ?",
        (*key, turn_id, PAST_ITEMS),
    ).fetchall()
    items = [_read_item.decode(item) for (item,) in reversed(rows)]
    called = {item.get("call_id") for item in items if item.get("type") == "function_call"}
    ended = {item.get("call_id") for item in items if item.get("type") == "function_call_output"}
    # A call and its output are kept together, also where the past is cut.
    return tuple(
        item
        for item in items
        if item.get("type") not in OF_ONE_MODEL
        and ("call_id" not in item or item["call_id"] in called & ended)
    )


def begin_thread(
    connection: Connection, key: ChatKey, name: str, items: Sequence[JsonObject], *, now: float
) -> None:
    """Let a chat that is not known have a past; inside the caller's transaction."""
    connection.execute(
        "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at,"
        " customer_wrote_at, imported_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, name, name, now, now, now, now),
    )
    append(connection, key, None, items, now=now)
