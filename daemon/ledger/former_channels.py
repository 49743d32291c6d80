"""Stores of before numbers had names: what is stored under a gateway's id gets the number's name.

Until then the column ``channel`` held the gateway's id of the number (``MANTIS-M72HC``), or nothing
for what the command line had sent before any id was known. No such id is a name: see
`daemon.settings.numbers.NAME`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.domain.states import TURN_DONE
from daemon.ledger.drivers.port import Connection

_NAME = re.compile(r"[a-z0-9_]+")

_KEYS = (
    ("chats", "chat"),
    ("messages", "id"),
    ("early_changes", "target, chat, author"),
    ("thread_heads", "chat"),
    ("aliases", "alias"),
    ("facts", "chat, fact"),
    ("usage_days", "day, chat"),
    ("media", "message_id"),
    ("own_ids", "id"),
    ("calls", "id"),
)
"""The tables with rows that are unique within a number, and by what."""

_OTHERS = ("events", "turns", "early_statuses", "outbox", "thread_items")

_OF_CHATS = ("notifications", "log_lines")
"""Tables with rows of no chat, whose channel is always empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """The result for the stored ids."""

    names: Mapping[str, str] = field(default_factory=dict)
    """The number that each id is now."""
    left: Mapping[str, int] = field(default_factory=dict)
    """The ids of no known number, and how many chats each has."""


def name_channels(connection: Connection, ids: Mapping[str, str], only: str) -> Renamed:
    """Put names in place of the gateway's ids, inside the caller's transaction.

    ``ids``: the names of the numbers whose ids are configured, by these. ``only``: the one number
    that there is, empty if there are several; it gets what was last active under no configured id,
    and what was stored under none. In a store of names this reads the chats' key once.
    """
    stored = [
        str(channel)
        for (channel,) in connection.execute(
            "SELECT channel FROM chats GROUP BY channel ORDER BY MAX(last_activity_at) DESC"
        )
    ]
    beside = connection.execute(
        "SELECT 1 FROM usage_days WHERE channel = '' UNION ALL"
        " SELECT 1 FROM outbox WHERE channel = '' LIMIT 1"
    )
    if "" not in stored and beside.fetchone():
        stored.append("")
    old = [channel for channel in stored if not _NAME.fullmatch(channel)]
    names = {channel: ids[channel] for channel in old if channel in ids}
    if only:
        unnamed = [channel for channel in old if channel and channel not in names]
        taken = set(names.values()) | set(stored)
        names |= dict.fromkeys(unnamed[:1] if only not in taken else (), only)
        names |= {"": only} if "" in old else {}
    for channel, name in [*names.items()]:
        if _both_live(connection, channel, name):
            del names[channel]  # until a later start
        else:
            _rename(connection, channel, name)
    left = {
        channel: int(
            connection.execute(
                "SELECT COUNT(*) FROM chats WHERE channel = ?", (channel,)
            ).fetchone()[0]
        )
        for channel in old
        if channel not in names
    }
    return Renamed(names=names, left=left)


def _both_live(connection: Connection, channel: str, name: str) -> bool:
    """True if a chat has an unfinished turn under both."""
    found = connection.execute(
        "SELECT 1 FROM turns a JOIN turns b ON a.chat = b.chat WHERE a.channel = ? AND b.channel"
        f" = ? AND a.state != '{TURN_DONE}' AND b.state != '{TURN_DONE}' LIMIT 1",
        (channel, name),
    )
    return found.fetchone() is not None


def _rename(connection: Connection, channel: str, name: str) -> None:
    """Move all rows; where the name has the same row already, that one stays."""
    for table, columns in _KEYS:
        connection.execute(
            f"DELETE FROM {table} WHERE channel = ? AND ({columns}) IN"
            f" (SELECT {columns} FROM {table} WHERE channel = ?)",
            (channel, name),
        )
    for table in (*(table for table, _ in _KEYS), *_OTHERS):
        connection.execute(f"UPDATE {table} SET channel = ? WHERE channel = ?", (name, channel))
    for table in _OF_CHATS:
        connection.execute(
            f"UPDATE {table} SET channel = ? WHERE channel = ? AND chat != ''", (name, channel)
        )
    connection.execute(
        "INSERT INTO former_channels (channel, number) VALUES (?, ?)"
        " ON CONFLICT (channel) DO UPDATE SET number = excluded.number",
        (channel, name),
    )
