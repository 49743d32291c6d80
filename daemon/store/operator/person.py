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
    sent_ids: frozenset[str]
    """Of these, what we have sent to the person, in groups too."""
    group_turns: tuple[int, ...]
    """The turns of groups in which the person has spoken."""
    event_ids: frozenset[int]
    """The webhook calls that brought the person's messages, and the echoes of what we sent."""
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
    turns = connection.execute(
        "SELECT DISTINCT turn_id FROM messages WHERE turn_id IS NOT NULL AND chat GLOB '*@g.us'"
        " AND json_extract(message, '$.author') IN (SELECT value FROM json_each(:authors))",
        parameters,
    ).fetchall()
    group_turns = tuple(sorted(int(row[0]) for row in turns))
    sent_ids = _sent_ids(connection, names, group_turns)
    echoes = connection.execute(
        "SELECT event_id FROM messages WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(sent_ids)),),
    ).fetchall()
    numbers = {name.partition("@")[0] for name in names}
    numbers = {n for n in numbers if n.isdecimal() and len(n) >= SHORTEST_NUMBER}
    needles = numbers | {name for name in names if name.partition("@")[0] not in numbers}
    parts = sorted({*names, *numbers}, key=len, reverse=True)
    pattern = rf"(?<![0-9])(?:{'|'.join(map(re.escape, parts))})(?![0-9])"
    return Person(
        names=tuple(names),
        authors=tuple(authors),
        message_ids=frozenset(str(row[0]) for row in messages) | sent_ids,
        sent_ids=sent_ids,
        group_turns=group_turns,
        event_ids=frozenset(int(row[-1]) for row in (*messages, *echoes)),
        needles=tuple(sorted(needles)),
        pattern=re.compile(pattern),
        raw_pattern=re.compile(pattern.encode()),
    )


def _sent_ids(
    connection: sqlite3.Connection, names: Sequence[str], group_turns: Sequence[int]
) -> frozenset[str]:
    """WhatsApp's ids of what went to the person, and to the agents about them."""
    rows = connection.execute(
        "SELECT message_id FROM outbox WHERE message_id != '' AND ("
        " chat IN (SELECT value FROM json_each(:names))"
        " OR turn_id IN (SELECT value FROM json_each(:turns))"
        " OR id IN (SELECT outbox_id FROM escalations JOIN turns ON turns.id = escalations.turn_id"
        " WHERE turns.id IN (SELECT value FROM json_each(:turns))"
        " OR turns.chat IN (SELECT value FROM json_each(:names))))",
        {"names": json.dumps(list(names)), "turns": json.dumps(list(group_turns))},
    )
    return frozenset(str(row[0]) for row in rows)
