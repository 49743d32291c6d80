"""Which chats wait for an answer, and of whom: the queries behind the figure of the oldest one."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from daemon.store.waiting import waiting_chats

WaitsFor = Literal["bot", "person", "operator"]
"""``operator``: no answer was possible, or it could not be delivered; the bot tries no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """One chat with something that nobody has dealt with yet. Times are Unix seconds."""

    chat: str
    waits_for: WaitsFor
    since: float
    """When the oldest of its messages came."""
    messages: int
    """How many they are; 0 if the model has asked for a person and nothing was written since."""
    why: str
    """Of the oldest: why it waits for a person, or its state and how often its turn has begun."""
    message_id: str
    """Of the oldest; empty if there is none."""


def unanswered(connection: sqlite3.Connection) -> list[Unanswered]:
    """All chats in which somebody waits, the longest wait first.

    A chat may stand there twice: some of its messages may wait for a person, and later ones for the
    bot.
    """
    found = [*_for_a_person(connection), *_for_the_bot(connection), *_given_up(connection)]
    return sorted(found, key=lambda chat: chat.since)


def _for_a_person(connection: sqlite3.Connection) -> list[Unanswered]:
    return [
        Unanswered(
            chat=waiting.key.chat,
            waits_for="person",
            since=waiting.since,
            messages=waiting.messages,
            why=waiting.reason,
            message_id=waiting.message_id,
        )
        for waiting in waiting_chats(connection)
    ]


def _for_the_bot(connection: sqlite3.Connection) -> list[Unanswered]:
    rows = connection.execute(
        # SQLite takes the other columns from the row with the minimum.
        "SELECT m.chat, MIN(m.received_at), COUNT(*), m.state, COALESCE(t.attempts, 0), m.id"
        " FROM messages m LEFT JOIN turns t ON t.id = m.turn_id WHERE m.from_me = 0"
        " AND m.state IN ('received', 'in_turn') GROUP BY m.channel, m.chat"
    )
    return [
        Unanswered(
            chat=chat,
            waits_for="bot",
            since=since,
            messages=count,
            why=f"{state}, {attempts} attempt{'' if attempts == 1 else 's'}",
            message_id=message_id,
        )
        for chat, since, count, state, attempts, message_id in rows
    ]


def _given_up(connection: sqlite3.Connection) -> list[Unanswered]:
    """What got no answer, or one that never arrived, in a chat where nobody has spoken since."""
    rows = connection.execute(
        # SQLite takes the other columns from the row with the minimum.
        "SELECT chat, MIN(received_at), COUNT(*), id, reason, EXISTS (SELECT 1 FROM send_failures f"
        " JOIN outbox o ON o.id = f.outbox_id WHERE o.turn_id = m.turn_id) FROM messages m"
        " WHERE from_me = 0 AND state = 'dead' AND NOT EXISTS (SELECT 1 FROM turns t"
        " WHERE t.channel || '/' || t.chat = m.channel || '/' || m.chat AND t.id > m.turn_id"
        " AND t.outcome IN ('answered', 'handed_off')) AND NOT EXISTS (SELECT 1 FROM messages a"
        " WHERE a.channel || '/' || a.chat = m.channel || '/' || m.chat AND a.seq > m.seq"
        " AND a.from_me = 1 AND (a.state = 'received' OR a.reason = 'agent'))"
        " GROUP BY channel, chat"
    )
    return [
        Unanswered(
            chat=chat,
            waits_for="operator",
            since=since,
            messages=count,
            why=f"dead, {'its answer could not be delivered' if undelivered else reason}",
            message_id=message_id,
        )
        for chat, since, count, message_id, reason, undelivered in rows
    ]
