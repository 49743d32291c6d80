"""What the crash harness reads from the store, as an operator would with sqlite3."""

import json
from pathlib import Path
from typing import Any

from daemon.sandbox.payloads import digits_of
from support.crash_judges import StoreRows
from support.rows import read_rows

_STORE = "recado.db"

_TIMELINE = (
    """
    SELECT received_at, 'message', seq, id, state, reason, turn_id, duplicates,
        json_extract(message, '$.content.body')
    FROM messages WHERE chat = ? AND from_me = 0
    """,
    """
    SELECT opened_at, 'turn', id, state, outcome, attempts, superseded, concluded_at, closed_at
    FROM turns WHERE chat = ?
    """,
    """
    SELECT r.started_at, 'run', r.id, r.turn_id, r.state, r.ended_at
    FROM runs r JOIN turns t ON t.id = r.turn_id WHERE t.chat = ?
    """,
    """
    SELECT p.started_at, 'response', p.run_id, p.round, p.response_id, p.state, p.calls, p.error
    FROM responses p JOIN runs r ON r.id = p.run_id JOIN turns t ON t.id = r.turn_id
    WHERE t.chat = ?
    """,
    """
    SELECT c.started_at, 'tool call', c.id, c.turn_id, c.state, c.arguments, c.output
    FROM tool_calls c JOIN turns t ON t.id = c.turn_id WHERE t.chat = ?
    """,
    """
    SELECT created_at, 'outbox', id, turn_id, state, attempts, attempted_at, sent_at, message_id,
        body FROM outbox WHERE chat = ?
    """,
)


def stored_ids(data_dir: Path) -> set[str]:
    """The ids of all messages."""
    return {row[0] for row in _rows(data_dir, "SELECT id FROM messages")}


def sends_in_flight(data_dir: Path) -> list[tuple[str, str]]:
    """Chat and words of the sends whose outcome the store does not know."""
    query = "SELECT chat, body FROM outbox WHERE state IN ('sending', 'unknown')"
    return [(row[0], row[1]) for row in _rows(data_dir, query)]


def work_left(data_dir: Path) -> bool:
    """True while a message, a turn or a send has no outcome."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM messages WHERE state IN ('received', 'in_turn'))"
        " OR EXISTS (SELECT 1 FROM turns WHERE state != 'done')"
        " OR EXISTS (SELECT 1 FROM outbox WHERE state IN ('pending', 'sending', 'unknown'))"
    )
    return any(row[0] for row in _rows(data_dir, query))


def duplicates(data_dir: Path) -> int:
    """How many arrivals of a message that was stored already."""
    return int(_rows(data_dir, "SELECT COALESCE(SUM(duplicates), 0) FROM messages")[0][0])


def read_store(data_dir: Path) -> StoreRows:
    """What the judges need of the store."""
    return StoreRows(
        messages=_by_digits(
            _rows(data_dir, "SELECT chat, id, state FROM messages WHERE from_me = 0 ORDER BY seq")
        ),
        open_outbox=_by_digits(
            _rows(data_dir, "SELECT chat, state FROM outbox WHERE state NOT IN ('sent', 'dropped')")
        ),
        living_turns=[
            digits_of(row[0])
            for row in _rows(data_dir, "SELECT chat FROM turns WHERE state != 'done'")
        ],
        calls=_by_digits(
            _rows(
                data_dir,
                "SELECT t.chat, c.state, c.arguments FROM tool_calls c"
                " JOIN turns t ON t.id = c.turn_id WHERE c.tool = 'book' ORDER BY c.id",
            )
        ),
        user_items=[
            (digits_of(chat), str(json.loads(item)["content"]))
            for chat, item in _rows(data_dir, "SELECT chat, item FROM thread_items ORDER BY id")
            if json.loads(item).get("role") == "user"
        ],
    )


def timeline(data_dir: Path, chat: str) -> str:
    """The life of one chat: messages, turns, runs, responses, tool calls and outbox, by time."""
    rows = [row for query in _TIMELINE for row in _rows(data_dir, query, chat)]
    rows.sort(key=lambda row: float(row[0]))
    return "\n".join(f"{row[0]:.3f} {' | '.join(str(field) for field in row[1:])}" for row in rows)


def _rows(data_dir: Path, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Rows of a store; none of one that a kill kept from being made."""
    if not (data_dir / _STORE).exists() or not read_rows(
        data_dir, "SELECT 1 FROM sqlite_master WHERE name = 'messages'"
    ):
        return []
    return read_rows(data_dir, query, *parameters)


def _by_digits(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [(digits_of(row[0]), *row[1:]) for row in rows]
