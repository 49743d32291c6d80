"""Putting an operator's words into the outbox: what `recado send` does."""

import sqlite3
from dataclasses import dataclass

from daemon.audit import Actor
from daemon.model import ChatKey
from daemon.store.audit import write_audit
from daemon.store.thread import append


@dataclass(frozen=True, slots=True)
class Sending:
    """How far one outbox row has come."""

    state: str
    message_id: str
    error: str


def channel_of(connection: sqlite3.Connection, chat: str) -> str:
    """The channel to reach a chat by: where it was last active, else the one last active at all.

    Empty in a store that knows no chat yet; the daemon has one channel then.
    """
    row = connection.execute(
        "SELECT channel FROM chats ORDER BY chat = ? DESC, last_activity_at DESC LIMIT 1", (chat,)
    ).fetchone()
    return str(row[0]) if row else ""


def queue_text(
    connection: sqlite3.Connection, key: ChatKey, text: str, *, by: Actor, now: float
) -> int:
    """Put one message into the outbox and the thread, inside the caller's transaction.

    Gives the outbox row's number. In the thread it stands as said by us, so that the model knows
    what the customer answers to. ``now``: Unix seconds.
    """
    row = connection.execute(
        "INSERT INTO outbox (channel, chat, body, created_at) VALUES (?, ?, ?, ?) RETURNING id",
        (*key, text, now),
    ).fetchone()
    append(connection, key, None, [{"role": "assistant", "content": text}], now=now)
    write_audit(connection, by, "send", key.chat, after=f"outbox row {row[0]}", now=now)
    return int(row[0])


def sending_of(connection: sqlite3.Connection, row_id: int) -> Sending:
    """Look at one outbox row."""
    row = connection.execute(
        "SELECT state, message_id, error FROM outbox WHERE id = ?", (row_id,)
    ).fetchone()
    return Sending(*row)
