"""A person's marks in the ledger: chat ids, authors of messages, numbers in texts."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.domain.ids import GROUPS_GLOB, local_part
from daemon.domain.ids import person_of as person_of_chat
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.progress import Progress, unwatched
from daemon.ledger.audit import audit_of
from daemon.ledger.drivers.port import Connection

SHORTEST_NUMBER = 8
"""Digits. A shorter id is removed only where it is a whole chat id."""

OF_CHAT = "channel || '/' || chat = ?"
"""The condition that the indexes of a whole conversation are for; see `recorded`."""

NUMBERS = "(SELECT CAST(value AS BIGINT) FROM json_each(?))"
"""The numbers of a JSON list that is a parameter, as SQL."""


@dataclass(frozen=True, slots=True)
class Person:
    """The marks of one person in rows and raw events."""

    names: tuple[str, ...]
    authors: tuple[str, ...]
    keys: tuple[ChatKey, ...]
    """The person's own chats."""
    groups: tuple[ChatKey, ...]
    """The groups in which the person has spoken."""
    message_ids: frozenset[str]
    """Ids of the person's messages, and of what we have sent to them, in groups too."""
    group_turns: tuple[int, ...]
    """The turns of groups in which the person has spoken."""
    needles: tuple[str, ...]
    """Each text that `pattern` finds contains one of these: a quick filter for many texts."""
    pattern: re.Pattern[str]
    raw_pattern: re.Pattern[bytes]


def joined_key(key: ChatKey) -> str:
    """Number and chat as one text, for comparisons with `OF_CHAT`."""
    return f"{key.number}/{key.chat}"


def names_of(connection: Connection, chat: str) -> tuple[str, ...]:
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
    """The author ids of the person in messages: digits, or a whole id."""
    return sorted({*names, *map(person_of_chat, names)})


def keys_of(connection: Connection, names: Sequence[str]) -> tuple[ChatKey, ...]:
    """The person's chats on all channels that there are.

    An empty one is that of words sent from the command line before any channel was known.
    """
    channels = {str(row[0]) for row in connection.execute("SELECT DISTINCT channel FROM chats")}
    return tuple(ChatKey(channel, name) for channel in sorted({"", *channels}) for name in names)


def only(keys: Sequence[ChatKey]) -> Person:
    """Some chats as a whole, all authors included, and nothing outside of them."""
    never = re.compile(r"(?!)")
    return Person(
        names=tuple({key.chat for key in keys}),
        authors=(),
        keys=tuple(keys),
        groups=(),
        message_ids=frozenset(),
        group_turns=(),
        needles=(),
        pattern=never,
        raw_pattern=re.compile(rb"(?!)"),
    )


def person_of(
    connection: Connection, names: Sequence[str], keys: Sequence[ChatKey], *, up_to: int
) -> Person:
    """Find out how to recognise the person with these chat ids, as `names_of` gives them.

    ``up_to``: the last message that counts.
    """
    authors = authors_of(names)
    rows = [
        row
        for key in keys
        for row in connection.execute(
            f"SELECT id FROM messages WHERE {OF_CHAT} AND seq <= ?",
            (joined_key(key), up_to),
        )
    ]
    spoken = [
        row
        for author in authors
        for row in connection.execute(
            "SELECT id, chat, turn_id FROM messages"
            f" WHERE chat GLOB '{GROUPS_GLOB}'"
            " AND author = ? AND seq <= ?",
            (author, up_to),
        )
    ]
    group_turns = tuple(sorted({int(row[2]) for row in spoken if row[2] is not None}))
    sent_ids = _sent_ids(connection, keys, group_turns)
    numbers = {local_part(name) for name in names}
    numbers = {n for n in numbers if n.isdecimal() and len(n) >= SHORTEST_NUMBER}
    needles = numbers | {name for name in names if local_part(name) not in numbers}
    parts = sorted({*names, *numbers}, key=len, reverse=True)
    pattern = rf"(?<![0-9])(?:{'|'.join(map(re.escape, parts))})(?![0-9])"
    return Person(
        names=tuple(names),
        authors=tuple(authors),
        keys=tuple(keys),
        # The echo of a send may have come on another channel than the turn.
        groups=tuple(
            ChatKey(channel, chat)
            for channel in sorted({key.number for key in keys})
            for chat in sorted({row[1] for row in spoken})
        ),
        message_ids=frozenset(str(row[0]) for row in (*rows, *spoken)) | sent_ids,
        group_turns=group_turns,
        needles=tuple(sorted(needles)),
        pattern=re.compile(pattern),
        raw_pattern=re.compile(pattern.encode()),
    )


def _sent_ids(
    connection: Connection, keys: Sequence[ChatKey], group_turns: Sequence[int]
) -> frozenset[str]:
    """WhatsApp's ids of what went to the person, and to the agents about them."""
    found: set[str] = set()
    for key in keys:
        found |= _ids(connection, "channel = ? AND chat = ?", key)
        found |= _ids(
            connection,
            "id IN (SELECT outbox_id FROM escalations JOIN turns ON turns.id = escalations.turn_id"
            f" WHERE {OF_CHAT})",
            (joined_key(key),),
        )
    turns = json.dumps(list(group_turns))
    found |= _ids(connection, f"turn_id IN {NUMBERS}", (turns,))
    found |= _ids(
        connection,
        f"id IN (SELECT outbox_id FROM escalations WHERE turn_id IN {NUMBERS})",
        (turns,),
    )
    return frozenset(found)


def _ids(connection: Connection, where: str, values: Sequence[object]) -> set[str]:
    rows = connection.execute(
        f"SELECT message_id FROM outbox WHERE message_id != '' AND {where}",
        values,
    )
    return {str(row[0]) for row in rows}


_QUERIES = {
    "chats": "SELECT * FROM chats WHERE chat IN (SELECT value FROM names)",
    "messages": """SELECT * FROM messages WHERE chat IN (SELECT value FROM names)
        OR author IN (SELECT value FROM authors) ORDER BY seq""",
    "media": """SELECT media.* FROM media JOIN messages ON messages.channel = media.channel
        AND messages.id = message_id WHERE chat IN (SELECT value FROM names)
        OR author IN (SELECT value FROM authors) ORDER BY seq""",
    "thread": "SELECT * FROM thread_items WHERE chat IN (SELECT value FROM names) ORDER BY id",
    "summary": "SELECT * FROM thread_heads WHERE chat IN (SELECT value FROM names)",
    "turns": "SELECT * FROM turns WHERE chat IN (SELECT value FROM names) ORDER BY id",
    "stages": """SELECT stages.* FROM stages JOIN turns ON turns.id = turn_id
        WHERE chat IN (SELECT value FROM names) ORDER BY stages.id""",
    "model_calls": """SELECT responses.* FROM responses JOIN runs ON runs.id = run_id
        JOIN turns ON turns.id = turn_id WHERE chat IN (SELECT value FROM names)
        ORDER BY run_id, round""",
    "tool_calls": """SELECT tool_calls.* FROM tool_calls JOIN turns ON turns.id = turn_id
        WHERE chat IN (SELECT value FROM names) ORDER BY tool_calls.id""",
    "facts": "SELECT * FROM facts WHERE chat IN (SELECT value FROM names) ORDER BY id",
    "escalations": """SELECT escalations.* FROM escalations JOIN turns ON turns.id = turn_id
        WHERE chat IN (SELECT value FROM names) ORDER BY turn_id""",
    "questions": """SELECT * FROM knowledge_questions WHERE chat IN (SELECT value FROM names)
        ORDER BY id""",
    "usage": "SELECT * FROM usage_days WHERE chat IN (SELECT value FROM names) ORDER BY day",
    "outbox": "SELECT * FROM outbox WHERE chat IN (SELECT value FROM names) ORDER BY id",
    "reminders": """SELECT * FROM reminders
        WHERE chat IN (SELECT value FROM names) ORDER BY id""",
    "enquiries": """SELECT * FROM enquiries
        WHERE chat IN (SELECT value FROM names) ORDER BY id""",
    "notes": "SELECT * FROM notes WHERE chat IN (SELECT value FROM names) ORDER BY id",
    "candidate_answers": """SELECT candidate_answers.* FROM candidate_answers JOIN turns
        ON turns.id = turn_id WHERE chat IN (SELECT value FROM names) ORDER BY turn_id""",
    "compared_turns": """SELECT compared_turns.* FROM compared_turns JOIN turns
        ON turns.id = turn_id WHERE chat IN (SELECT value FROM names) ORDER BY compared_turns.id""",
    "outgoing_webhooks": """SELECT * FROM webhook_deliveries
        WHERE chat IN (SELECT value FROM names) ORDER BY id""",
}
_PARAMETERS = (
    "WITH names AS (SELECT value FROM json_each(:names)),"
    " authors AS (SELECT value FROM json_each(:authors)) "
)

_COMPUTED = ("author", "content_type", "words")
"""Columns of messages that repeat what ``message`` says."""
_JSON_COLUMNS = frozenset({"message", "earlier", "item", "response", "arguments", "payload"})


def held_of(
    connection: Connection, names: Sequence[str], progress: Progress = unwatched
) -> JsonObject:
    """Read all rows about the person with these chat ids, as one JSON object by table.

    What the person wrote in groups is among the messages. Raw events are not repeated here: they
    say the same, together with what others wrote; each message names its ``event_id``.
    ``progress`` gets tables.
    """
    parameters = {"names": json.dumps(names), "authors": json.dumps(authors_of(names))}
    held: JsonObject = {"chat": names[0], "also_known_as": list(names[1:])}
    for done, (table, query) in enumerate(_QUERIES.items()):
        progress(done, len(_QUERIES), table)
        rows = connection.execute(_PARAMETERS + query, parameters)
        held[table] = [_row(row) for row in rows]
    for message in held["messages"]:
        for column in _COMPUTED:
            del message[column]
    held["audit"] = [row.shown() for row in audit_of(connection, names)]
    progress(len(_QUERIES), len(_QUERIES), "")
    return held


def _row(row: sqlite3.Row) -> JsonObject:
    return {
        name: _parsed(row[name]) if name in _JSON_COLUMNS else row[name]
        for name in row.keys()  # noqa: SIM118 - a Row iterates over its values
    }


def _parsed(text: str) -> object:
    """The value of a JSON column, or its text: the model may have written broken JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
