"""What was done about each burst: the turns of a chat, and one of them step by step.

The steps are those that `recado explain` tells, from the same rows:
`daemon.ledger.admin.message_trace`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.admin.message_trace import MessageTrace, life_of_turn
from daemon.ledger.views.bubbles import NEWEST

_TURNS = """
    SELECT id, request_id AS turn, state, outcome, reason, attempts, superseded, opened_at,
        concluded_at, closed_at,
        (SELECT COUNT(*) FROM messages WHERE turn_id = turns.id) AS messages,
        (SELECT MIN(received_at) FROM messages WHERE turn_id = turns.id) AS began_at,
        (SELECT COUNT(*) FROM tool_calls WHERE turn_id = turns.id) AS tools,
        (SELECT COUNT(*) FROM outbox WHERE turn_id = turns.id AND state = 'sent') AS said,
        (SELECT COALESCE(SUM(tokens), 0) FROM usage JOIN runs ON runs.id = run_id
            WHERE runs.turn_id = turns.id) AS tokens
    FROM turns
"""


def turns_of(
    connection: sqlite3.Connection, key: ChatKey, *, before: int = NEWEST, limit: int
) -> list[JsonObject]:
    """The last turns of a chat, newest first: what they came to, and how much work they were."""
    cursor = connection.execute(
        f"{_TURNS} WHERE channel || '/' || chat = ? AND id < ? ORDER BY id DESC LIMIT ?",
        (f"{key.channel}/{key.chat}", before, limit),
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def chat_of_turn(connection: sqlite3.Connection, request_id: str) -> ChatKey | None:
    """The chat of a turn, by the name the turn has in the log; None if there is none."""
    row = connection.execute(
        "SELECT channel, chat FROM turns WHERE request_id = ? ORDER BY id DESC LIMIT 1",
        (request_id,),
    ).fetchone()
    return ChatKey(*row) if row else None


def story_of(connection: sqlite3.Connection, request_id: str) -> MessageTrace | None:
    """Everything the ledger has about a turn, each round of its runs with its ``charge``."""
    row = connection.execute(
        "SELECT id FROM turns WHERE request_id = ? ORDER BY id DESC LIMIT 1", (request_id,)
    ).fetchone()
    if row is None:
        return None
    with named_rows(connection):
        life = life_of_turn(connection, int(row[0]))
        for run in life.runs:
            charges = _charges(connection, run["id"])
            for response in run["responses"]:
                response["charge"] = charges.get(response["round"])
    return life


def _charges(connection: sqlite3.Connection, run_id: int) -> dict[int, JsonObject]:
    rows = connection.execute(
        "SELECT round, tokens, micros, state FROM usage WHERE run_id = ? ORDER BY id", (run_id,)
    )
    return {row["round"]: dict(row) for row in rows}


@contextmanager
def named_rows(connection: sqlite3.Connection) -> Iterator[None]:
    """Let rows be read by the names of their columns, as the operator's queries do."""
    before: Any = connection.row_factory
    connection.row_factory = sqlite3.Row
    try:
        yield
    finally:
        connection.row_factory = before
