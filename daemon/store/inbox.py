"""Accepting webhook calls: every message once, our own echoes recognised, changes applied.

One call is one write: when it returns, everything the call said is durable.
"""

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from daemon.errors import StoreUnavailable
from daemon.ledger import Accepted, Arrival, StoredMessage
from daemon.model import (
    ChatKey,
    Deletion,
    Edit,
    Media,
    Message,
    Other,
    Reaction,
    Text,
    Vote,
    Webhook,
)
from daemon.store.database import Database
from daemon.store.identity import LID, canonical, join, shown_pair
from daemon.store.thread import add_note

ROW_BODY_BYTES = 64 * 1024
"""Larger webhook bodies go to a file: a row of megabytes would hold up every other write."""

ECHO_SECONDS = 600
"""How long an echo under another id is still recognised by its words."""

HUMAN_SOURCES = frozenset({"mobile", "web", ""})
"""Where a person writes. ``business_api`` and ``system`` are automatic replies and notices."""

_message_json = msgspec.json.Encoder()
_read_message = msgspec.json.Decoder(Message)
_read_change = msgspec.json.Decoder(Edit | Deletion)


@dataclass(slots=True)
class _Tally:
    """What one call brought, while it is being written."""

    event_id: int
    now: float
    pause_until: float
    arrivals: list[Arrival] = field(default_factory=list)
    stored: int = 0
    duplicates: int = 0
    echoes: int = 0


class Inbox:
    """Inbound messages. Used by the webhook handler and by chats; any task may call it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    async def accept(
        self,
        webhook: Webhook,
        body: bytes,
        *,
        verdicts: Sequence[str],
        now: float,
        pause_until: float,
    ) -> Accepted:
        """Store one webhook call and all it says; durable on return.

        ``verdicts`` has one word for each of the call's messages: empty to answer it, else the
        reason why it is ignored. ``now`` is Unix seconds; a human agent's message pauses its chat
        until ``pause_until`` (0: no pause).

        Raises StoreUnavailable if it is not stored; then nothing of the call is.
        """
        body_file = ""
        if len(body) > ROW_BODY_BYTES:
            body_file = f"{hashlib.sha256(body).hexdigest()}.json"
            await trio.to_thread.run_sync(_write_durably, self._folder / body_file, body)

        def verb(connection: sqlite3.Connection) -> Accepted:
            event_id = _insert_event(connection, webhook, body, body_file, now)
            return take_in(
                connection, webhook, event_id, verdicts=verdicts, now=now, pause_until=pause_until
            )

        return await self._database.write(verb)

    async def waiting(self, key: ChatKey, *, from_me: bool) -> tuple[StoredMessage, ...]:
        """Messages that no turn has taken yet: the customer's, or those of a human agent."""

        def verb(connection: sqlite3.Connection) -> tuple[StoredMessage, ...]:
            rows = connection.execute(
                "SELECT seq, message, received_at FROM messages WHERE channel = ? AND chat = ?"
                " AND state = 'received' AND from_me = ? ORDER BY seq",
                (*key, int(from_me)),
            )
            return tuple(stored_message(*row) for row in rows)

        return await self._database.read(verb)

    async def chats_with_work(self) -> tuple[Arrival, ...]:
        """Everything that waits, as arrivals in order: what the last process left behind."""

        def verb(connection: sqlite3.Connection) -> tuple[Arrival, ...]:
            rows = connection.execute(
                "SELECT channel, chat, from_me, kind, received_at FROM messages"
                " INDEXED BY messages_waiting WHERE state = 'received' ORDER BY seq"
            )
            return tuple(
                Arrival(
                    key=ChatKey(channel, chat),
                    what="agent" if from_me else "message",
                    kind=kind,
                    received_at=received_at,
                )
                for channel, chat, from_me, kind, received_at in rows
            )

        return await self._database.read(verb)

    async def chats_waiting(self, *, older_than: float) -> tuple[ChatKey, ...]:
        """The chats with a message that no turn has taken and that came before a time."""

        def verb(connection: sqlite3.Connection) -> tuple[ChatKey, ...]:
            rows = connection.execute(
                "SELECT DISTINCT channel, chat FROM messages"
                " WHERE state = 'received' AND received_at < ?",
                (older_than,),
            )
            return tuple(ChatKey(*row) for row in rows)

        return await self._database.read(verb)

    async def oldest_unanswered(self) -> float | None:
        """When the oldest customer message without an outcome arrived, Unix seconds."""

        def verb(connection: sqlite3.Connection) -> float | None:
            row = connection.execute(
                "SELECT MIN(received_at) FROM messages"
                " WHERE state IN ('received', 'in_turn') AND from_me = 0"
            ).fetchone()
            oldest: float | None = row[0]
            return oldest

        return await self._database.read(verb)


def stored_message(seq: int, message: str, received_at: float) -> StoredMessage:
    """Read one row of ``messages``."""
    return StoredMessage(seq=seq, message=_read_message.decode(message), received_at=received_at)


def _write_durably(path: Path, body: bytes) -> None:
    """Put a large body beside the store, on the disk before the row that names it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{os.urandom(4).hex()}")
        with draft.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(f"cannot store a large event: {error.strerror}") from error


def take_in(
    connection: sqlite3.Connection,
    webhook: Webhook,
    event_id: int,
    *,
    verdicts: Sequence[str],
    now: float,
    pause_until: float,
) -> Accepted:
    """Store what a webhook call says, inside the caller's transaction; see `Inbox.accept`.

    ``event_id`` is its row in ``events``, which is there already.
    """
    tally = _Tally(event_id=event_id, now=now, pause_until=pause_until)
    for message, verdict in zip(webhook.messages, verdicts, strict=True):
        _take(connection, _of_one_person(connection, message), verdict, tally)
    changes: tuple[Edit | Deletion, ...] = (*webhook.edits, *webhook.deletions)
    for change in changes:
        _change(connection, webhook.channel, change, tally)
    for status in webhook.statuses:
        connection.execute(
            "UPDATE outbox SET status = ? WHERE message_id = ?",
            (status.status, status.message_id),
        )
    return Accepted(
        event_id=event_id,
        arrivals=tuple(tally.arrivals),
        stored=tally.stored,
        duplicates=tally.duplicates,
        echoes=tally.echoes,
    )


def _insert_event(
    connection: sqlite3.Connection, webhook: Webhook, body: bytes, body_file: str, now: float
) -> int:
    cursor = connection.execute(
        "INSERT INTO events (received_at, channel, event, body, body_file, unreadable)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            now,
            webhook.channel,
            webhook.event,
            None if body_file else body,
            body_file,
            "\n".join(webhook.unreadable),
        ),
    )
    event_id = cursor.lastrowid
    if event_id is None:  # pragma: no cover - an INSERT always has one
        raise StoreUnavailable("the event got no number")
    return event_id


def _of_one_person(connection: sqlite3.Connection, message: Message) -> Message:
    """The message in the chat that stands for its person, whichever id WhatsApp has used."""
    if not message.key.chat.endswith(LID):
        return message
    phone_chat = shown_pair(message)
    if phone_chat:
        join(connection, message.key, phone_chat)
    return msgspec.structs.replace(message, key=canonical(connection, message.key))


def _take(connection: sqlite3.Connection, message: Message, verdict: str, tally: _Tally) -> None:
    """Store one message if it is new, and say what it means for its chat."""
    known = connection.execute(
        "UPDATE messages SET duplicates = duplicates + 1 WHERE channel = ? AND id = ?",
        (message.key.channel, message.id),
    )
    if known.rowcount:
        tally.duplicates += 1
        return
    tally.stored += 1
    _note_chat(connection, message, tally.now)
    reason = verdict
    agent = False
    if message.from_me:
        reason, agent = _own(connection, message, tally)
    state = "ignored" if reason else "received"
    _insert_message(connection, message, state, reason, tally)
    if isinstance(message.content, Edit | Deletion):
        _change(connection, message.key.channel, message.content, tally)
    if agent:
        connection.execute(
            "UPDATE chats SET paused_until = MAX(paused_until, ?) WHERE channel = ? AND chat = ?",
            (tally.pause_until, *message.key),
        )
    if not reason:
        tally.arrivals.append(
            Arrival(
                key=message.key,
                what="agent" if agent else "message",
                kind=message.kind,
                received_at=tally.now,
            )
        )
        _apply_early_change(connection, message, tally)


def _insert_message(
    connection: sqlite3.Connection, message: Message, state: str, reason: str, tally: _Tally
) -> None:
    connection.execute(
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.key.channel,
            message.id,
            message.key.chat,
            tally.event_id,
            message.kind,
            int(message.from_me),
            _message_json.encode(message).decode(),
            message.sent_at,
            tally.now,
            state,
            reason,
        ),
    )


def _note_chat(connection: sqlite3.Connection, message: Message, now: float) -> None:
    """Remember the chat and its names. Only the customer's own messages name the customer."""
    contact = "" if message.from_me or message.is_group else message.author_name
    connection.execute(
        "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, chat) DO UPDATE SET"
        " name = CASE excluded.name WHEN '' THEN name ELSE excluded.name END,"
        " contact_name = CASE excluded.contact_name WHEN '' THEN contact_name"
        " ELSE excluded.contact_name END, last_activity_at = excluded.last_activity_at",
        (*message.key, message.chat_name, contact, now, now),
    )


def _own(connection: sqlite3.Connection, message: Message, tally: _Tally) -> tuple[str, bool]:
    """Tell our own sends and other automatic messages from a human agent's.

    Gives the reason to ignore it, and whether an agent wrote it.
    """
    if _is_echo(connection, message, tally.now):
        tally.echoes += 1
        return "echo", False
    if message.source == "api":
        return "sent through the API by another client", False
    if message.source not in HUMAN_SOURCES:
        return "automatic message of our number", False
    content = message.content
    if isinstance(content, Reaction | Edit | Deletion | Vote) or (
        isinstance(content, Other) and not content.body
    ):
        return "no words of an agent", False
    return "", True


def _is_echo(connection: sqlite3.Connection, message: Message, now: float) -> bool:
    """Find the send that this message is the echo of, and settle it.

    The echo may come before the send's own answer, and after a cut connection it is the only
    answer there will be: so a send in flight or of unknown outcome is recognised by its words.
    """
    by_id = connection.execute("SELECT id FROM outbox WHERE message_id = ?", (message.id,))
    if by_id.fetchone():
        return True
    body = message.content.body if isinstance(message.content, Text) else None
    if body is None or message.source in {"mobile", "web"}:
        return False
    if _owed_echo(connection, message.key, body, now):
        return True
    row = connection.execute(
        "SELECT id FROM outbox WHERE channel IN (?, '') AND chat = ? AND body = ?"
        " AND state IN ('sending', 'unknown') ORDER BY id LIMIT 1",
        (*message.key, body),
    ).fetchone()
    if row:
        connection.execute(
            "UPDATE outbox SET state = 'sent', message_id = ?, sent_at = ?, error = ''"
            " WHERE id = ?",
            (message.id, now, row[0]),
        )
        return True
    return False


def _owed_echo(connection: sqlite3.Connection, key: ChatKey, body: str, now: float) -> bool:
    """True if a send of these words that was answered has not had its echo: this is it.

    It has come under another id than the answer gave. Looked for before the sends in flight, so
    that it does not settle a later send of the same words.
    """
    row = connection.execute(
        "SELECT 1 FROM outbox o WHERE o.channel IN (?, '') AND o.chat = ? AND o.body = ?"
        " AND o.state = 'sent' AND o.sent_at > ? AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.channel = ? AND m.id = o.message_id) LIMIT 1",
        (*key, body, now - ECHO_SECONDS, key.channel),
    ).fetchone()
    return row is not None


def _change(
    connection: sqlite3.Connection, channel: str, change: Edit | Deletion, tally: _Tally
) -> None:
    """Edit or delete a message that has no outcome yet; note it in the thread if it has one."""
    row = connection.execute(
        "SELECT m.seq, m.chat, m.message, m.from_me OR m.deleted_at IS NOT NULL, m.state, t.state"
        " FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id WHERE m.channel = ? AND m.id = ?",
        (channel, change.target),
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO early_changes (channel, target, change, received_at)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (channel, target) DO UPDATE SET"
            " change = excluded.change, received_at = excluded.received_at"
            " WHERE json_extract(early_changes.change, '$.type') != 'deletion'",
            (channel, change.target, _message_json.encode(change).decode(), tally.now),
        )
        return
    seq, chat, text, is_settled, state, turn_state = row
    key = ChatKey(channel, chat)
    message = _read_message.decode(text)
    if is_settled or (isinstance(change, Edit) and words(message) == change.body):
        return
    undecided = state == "received" or (state == "in_turn" and turn_state == "open")
    if isinstance(change, Edit):
        edited = msgspec.structs.replace(message, content=_edited(message, change))
        connection.execute(
            "UPDATE messages SET message = ?, edited_at = ? WHERE seq = ?",
            (_message_json.encode(edited).decode(), tally.now, seq),
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


def _apply_early_change(connection: sqlite3.Connection, message: Message, tally: _Tally) -> None:
    row = connection.execute(
        "DELETE FROM early_changes WHERE channel = ? AND target = ? RETURNING change",
        (message.key.channel, message.id),
    ).fetchone()
    if row:
        _change(connection, message.key.channel, _read_change.decode(row[0]), tally)


def words(message: Message) -> str:
    """The words of a message: its text, or the caption of its file."""
    content = message.content
    if isinstance(content, Text):
        return content.body
    return content.caption if isinstance(content, Media) else ""


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
