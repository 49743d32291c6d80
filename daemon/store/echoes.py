"""Telling our own sends, coming back as echoes, from the words of a human agent."""

import sqlite3

from daemon.model import ChatKey, Deletion, Edit, Message, Other, Reaction, Text, Vote

ECHO = "echo"
"""Why our own sends are ignored when they come back."""

ECHO_SECONDS = 600
"""How long an echo under another id is still recognised by its words."""

HUMAN_SOURCES = frozenset({"mobile", "web", ""})
"""Where a person writes. ``business_api`` and ``system`` are automatic replies and notices."""


def read_own(connection: sqlite3.Connection, message: Message, now: float) -> tuple[str, bool]:
    """Tell our own sends and other automatic messages from a human agent's.

    Gives the reason to ignore it, and whether an agent wrote it.
    """
    if _is_echo(connection, message, now):
        return ECHO, False
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
