"""Everything held of one person: what `recado export` prints."""

import json
import sqlite3
from collections.abc import Sequence

from daemon.model import JsonObject
from daemon.store.audit import audit_of
from daemon.store.operator.person import authors_of

_QUERIES = {
    "chats": "SELECT * FROM chats WHERE chat IN names",
    "messages": """SELECT * FROM messages WHERE chat IN names
        OR json_extract(message, '$.author') IN authors ORDER BY seq""",
    "media": """SELECT media.* FROM media JOIN messages ON messages.channel = media.channel
        AND messages.id = message_id WHERE chat IN names
        OR json_extract(message, '$.author') IN authors ORDER BY seq""",
    "thread": "SELECT * FROM thread_items WHERE chat IN names ORDER BY id",
    "summary": "SELECT * FROM thread_heads WHERE chat IN names",
    "turns": "SELECT * FROM turns WHERE chat IN names ORDER BY id",
    "stages": """SELECT stages.* FROM stages JOIN turns ON turns.id = turn_id
        WHERE chat IN names ORDER BY stages.id""",
    "model_calls": """SELECT responses.* FROM responses JOIN runs ON runs.id = run_id
        JOIN turns ON turns.id = turn_id WHERE chat IN names ORDER BY run_id, round""",
    "tool_calls": """SELECT tool_calls.* FROM tool_calls JOIN turns ON turns.id = turn_id
        WHERE chat IN names ORDER BY tool_calls.id""",
    "facts": "SELECT * FROM facts WHERE chat IN names ORDER BY id",
    "escalations": """SELECT escalations.* FROM escalations JOIN turns ON turns.id = turn_id
        WHERE chat IN names ORDER BY turn_id""",
    "usage": "SELECT * FROM usage_days WHERE chat IN names ORDER BY day",
    "outbox": "SELECT * FROM outbox WHERE chat IN names ORDER BY id",
}
_PARAMETERS = (
    "WITH names AS (SELECT value FROM json_each(:names)),"
    " authors AS (SELECT value FROM json_each(:authors)) "
)

_JSON_COLUMNS = frozenset({"message", "earlier", "item", "response", "arguments", "payload"})


def held_of(connection: sqlite3.Connection, names: Sequence[str]) -> JsonObject:
    """Read all rows about the person with these chat ids, as one JSON object by table.

    What the person wrote in groups is among the messages. Raw events are not repeated here: they
    say the same, together with what others wrote; each message names its ``event_id``.
    """
    parameters = {"names": json.dumps(names), "authors": json.dumps(authors_of(names))}
    held: JsonObject = {"chat": names[0], "also_known_as": list(names[1:])}
    for table, query in _QUERIES.items():
        rows = connection.execute(_PARAMETERS + query, parameters)
        held[table] = [_row(row) for row in rows]
    held["audit"] = [row.shown() for row in audit_of(connection, names)]
    return held


def _row(row: sqlite3.Row) -> JsonObject:
    return {
        name: _parsed(row[name]) if name in _JSON_COLUMNS else row[name]
        for name in row.keys()  # noqa: SIM118 - a Row iterates over its values
    }


def _parsed(text: str) -> object:
    """A column that holds JSON as what it holds; the model may have written broken JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
