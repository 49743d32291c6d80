"""Telling our own sends, coming back as echoes, from the words of a human agent."""

from collections.abc import Sequence

from daemon.domain.messages import (
    ChatKey,
    Deletion,
    Edit,
    Media,
    Message,
    Other,
    Reaction,
    Text,
    Vote,
)
from daemon.domain.rendering.outgoing import Likeness, likeness, likeness_of
from daemon.ledger.drivers.port import Connection
from daemon.ledger.outbox import read_payload

ECHO = "echo"
"""Why our own sends are ignored when they come back."""

ECHO_SECONDS = 600
"""How long an echo under another id is still recognised by its likeness."""

HUMAN_SOURCES = frozenset({"mobile", "web", ""})
"""Where a person writes. ``business_api`` and ``system`` are automatic replies and notices."""

UNKNOWN_SOURCE = "unknown"
"""Whapi cannot tell where it was written. Protocol notices come so too, without any content; with
words or a file a person has written it."""


def read_own(connection: Connection, message: Message, now: float) -> tuple[str, bool]:
    """Tell our own sends and other automatic messages from a human agent's.

    Gives the reason to ignore it, and whether an agent wrote it.
    """
    if _is_echo(connection, message, now):
        return ECHO, False
    if message.source == "api":
        return "sent through the API by another client", False
    content = message.content
    is_said = isinstance(content, Media) or (isinstance(content, Text) and bool(content.body))
    if message.source not in HUMAN_SOURCES and not (message.source == UNKNOWN_SOURCE and is_said):
        return "automatic message of our number", False
    if isinstance(content, Reaction | Edit | Deletion | Vote) or (
        isinstance(content, Other) and not content.body
    ):
        return "no words of an agent", False
    return "", True


def _is_echo(connection: Connection, message: Message, now: float) -> bool:
    """Find the send that this message is the echo of, and settle it.

    The echo may come before the send's own answer, and after a cut connection it is the only
    answer there will be: so a send in flight or of unknown outcome is recognised by its likeness.
    """
    by_id = connection.execute(
        "SELECT outbox_id FROM send_failures WHERE message_id = ?1"
        " UNION ALL SELECT id FROM outbox WHERE message_id = ?1",
        (message.id,),
    )
    if by_id.fetchone():
        return True
    like = likeness_of(message)
    if not like or message.source in {"mobile", "web"}:
        return False
    if _owed_echo(connection, message.key, like, now):
        return True
    rows = connection.execute(
        "SELECT kind, body, payload, id FROM outbox WHERE channel IN (?, '') AND chat = ?"
        " AND state IN ('sending', 'unknown') ORDER BY id",
        message.key,
    )
    for *row, row_id in rows:
        if _like(row) == like:
            connection.execute(
                "UPDATE outbox SET state = 'sent', message_id = ?, sent_at = ?, error = ''"
                " WHERE id = ?",
                (message.id, now, row_id),
            )
            return True
    return False


def _like(row: Sequence[str]) -> Likeness:
    kind, body, payload = row
    return likeness(kind, body, read_payload.decode(payload))


def _owed_echo(connection: Connection, key: ChatKey, like: Likeness, now: float) -> bool:
    """True if a send like this that was answered has not had its echo: this is it.

    It has come under another id than the answer gave. Looked for before the sends in flight, so
    that it does not settle a later send of the same words.
    """
    rows = connection.execute(
        "SELECT o.kind, o.body, o.payload FROM outbox o WHERE o.channel IN (?, '') AND o.chat = ?"
        " AND o.state = 'sent' AND o.sent_at > ? AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.channel = ? AND m.id = o.message_id)",
        (*key, now - ECHO_SECONDS, key.channel),
    )
    return any(_like(row) == like for row in rows)
