"""Calls to our number: noted once each, and answered with a polite line if that is wanted."""

from collections.abc import Sequence

import msgspec

from daemon.domain.messages import Call, ChatKey
from daemon.domain.records import NewPart
from daemon.ledger.drivers.port import Connection
from daemon.ledger.identity import canonical
from daemon.ledger.outbox import queue_notice
from daemon.ledger.role import Role, transaction
from daemon.ledger.threads import append

REPLY_EVERY_SECONDS = 3600.0
"""Somebody who tries it several times reads one line, and one who calls again tomorrow another."""

MISSED = frozenset({"missed", "canceled", "cancelled"})
"""Where nobody has spoken with the caller, and nobody will any more (Whapi's page on calls)."""

NOTE = "[called us over WhatsApp]"


class Calls(Role):
    """The calls that were told of. Used by the webhook handler."""

    @transaction
    def take_in(
        self, connection: Connection, calls: Sequence[Call], *, reply: NewPart | None, now: float
    ) -> tuple[ChatKey, ...]:
        """Note calls, each once whatever Whapi repeats, and queue the reply to those missed.

        ``reply`` None: nothing is said. Gives the chats in which something is to be said now. Not
        said where an agent has the chat, where it was said within the hour, or after an hour.
        """
        due = []
        for call in calls:
            known = msgspec.structs.replace(call, key=canonical(connection, call.key))
            _note(connection, known, now)
            if (
                reply is not None
                and _is_due(connection, known, now)
                and queue_notice(connection, known.key, reply, now=now)
            ):
                due.append(known.key)
        return tuple(due)


def _note(connection: Connection, call: Call, now: float) -> None:
    new = connection.execute(
        "INSERT OR IGNORE INTO calls (channel, id, chat, noted_at) VALUES (?, ?, ?, ?)",
        (call.key.channel, call.id, call.key.chat, now),
    ).rowcount
    begun = connection.execute(
        "SELECT 1 FROM thread_items WHERE channel = ? AND chat = ? LIMIT 1", call.key
    ).fetchone()
    if new and begun:
        append(connection, call.key, None, [{"role": "user", "content": NOTE}], now=now)


def _is_due(connection: Connection, call: Call, now: float) -> bool:
    """Take the reply for this call, if it gets one."""
    if call.status not in MISSED or (call.at and now - call.at > REPLY_EVERY_SECONDS):
        return False
    paused = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND paused_until > ?", (*call.key, now)
    ).fetchone()
    said = connection.execute(
        "SELECT 1 FROM calls WHERE channel = ? AND chat = ? AND replied_at > ? LIMIT 1",
        (*call.key, now - REPLY_EVERY_SECONDS),
    ).fetchone()
    if paused or said:
        return False
    taken = connection.execute(
        "UPDATE calls SET replied_at = ? WHERE channel = ? AND id = ? AND replied_at = 0",
        (now, call.key.channel, call.id),
    )
    return bool(taken.rowcount)
