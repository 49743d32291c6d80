"""Who a person is in the store: chat ids, authors of messages, numbers in texts."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.store.identity import PERSON

SHORTEST_NUMBER = 8
"""Digits. A shorter id is taken out only where it stands as a whole chat id."""


@dataclass(frozen=True, slots=True)
class Person:
    """How to recognise one person in rows and raw events."""

    names: tuple[str, ...]
    authors: tuple[str, ...]
    message_ids: frozenset[str]
    event_ids: frozenset[int]
    """The webhook calls that brought the person's messages."""
    needles: tuple[str, ...]
    """One of these is in every text that `pattern` finds: for a quick look at many texts."""
    pattern: re.Pattern[str]
    raw_pattern: re.Pattern[bytes]


def names_of(connection: sqlite3.Connection, chat: str) -> tuple[str, ...]:
    """All chat ids of the person behind one of them, the given one first."""
    rows = connection.execute(
        "WITH mine (chat) AS (SELECT :chat UNION SELECT chat FROM aliases WHERE alias = :chat)"
        " SELECT chat FROM mine UNION SELECT alias FROM aliases"
        " WHERE chat IN (SELECT chat FROM mine)",
        {"chat": chat},
    )
    others = {row[0] for row in rows} - {chat}
    return (chat, *sorted(others))


def authors_of(names: Sequence[str]) -> list[str]:
    """How the person is named as the author of a message: by digits, or by a whole id."""
    return sorted({*names, *(name.removesuffix(PERSON) for name in names)})


def person_of(connection: sqlite3.Connection, names: Sequence[str]) -> Person:
    """Learn by what to recognise the person with these chat ids, as `names_of` gives them."""
    authors = authors_of(names)
    parameters = {"names": json.dumps(names), "authors": json.dumps(authors)}
    messages = connection.execute(
        "SELECT id, event_id FROM messages WHERE chat IN (SELECT value FROM json_each(:names))"
        " OR json_extract(message, '$.author') IN (SELECT value FROM json_each(:authors))",
        parameters,
    ).fetchall()
    sends = connection.execute(
        "SELECT message_id FROM outbox WHERE message_id != ''"
        " AND chat IN (SELECT value FROM json_each(:names))",
        parameters,
    )
    numbers = {name.partition("@")[0] for name in names}
    numbers = {n for n in numbers if n.isdecimal() and len(n) >= SHORTEST_NUMBER}
    needles = numbers | {name for name in names if name.partition("@")[0] not in numbers}
    parts = sorted({*names, *numbers}, key=len, reverse=True)
    pattern = rf"(?<![0-9])(?:{'|'.join(map(re.escape, parts))})(?![0-9])"
    return Person(
        names=tuple(names),
        authors=tuple(authors),
        message_ids=frozenset(str(row[0]) for row in (*messages, *sends)),
        event_ids=frozenset(int(row[1]) for row in messages),
        needles=tuple(sorted(needles)),
        pattern=re.compile(pattern),
        raw_pattern=re.compile(pattern.encode()),
    )
