"""Queries of the crash harness on the store."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.domain.messages import NOTE_KIND
from daemon.sandbox.payloads import digits_of
from support.crash_judges import StoreRows, references
from support.place import database
from support.rows import select

Line = tuple[float, list[Any]]


def stored_ids(data_dir: Path) -> set[str]:
    """The ids of all messages, also of those in webhooks that a node at work has to take in."""
    waiting = [json.loads(bytes(body)) for (body,) in _select(data_dir, "waiting_calls", "body")]
    stored = {message_id for (message_id,) in _select(data_dir, "messages", "id")}
    return stored | {one["id"] for call in waiting for one in call.get("messages", ())}


def sends_in_flight(data_dir: Path) -> list[tuple[str, str]]:
    """Chat and text of the sends of unknown outcome."""
    cut = {"state": ("sending", "unknown")}
    return [(chat, body) for chat, body in _select(data_dir, "outbox", "chat, body", where=cut)]


def work_left(data_dir: Path) -> list[str]:
    """The tables with something that has no outcome, or with a webhook that is not taken in."""
    unfinished: Mapping[str, Mapping[str, Any]] = {
        "waiting_calls": {},
        "messages": {"state": ("received", "in_turn")},
        "turns": {"state !=": "done"},
        "outbox": {"state": ("pending", "sending", "unknown")},
        "reminders": {"state": "waiting"},
        "webhook_deliveries": {"state": "pending"},
    }
    return [
        table
        for table, where in unfinished.items()
        if _select(data_dir, table, "id", where=where, limit=1)
    ]


def duplicates(data_dir: Path) -> int:
    """The number of repeated arrivals of stored messages."""
    return sum(number for (number,) in _select(data_dir, "messages", "duplicates"))


def refused_reminders(data_dir: Path) -> set[str]:
    """The references of reminders that the tool did not set, and said so: it was too late."""
    refused = {"tool": "remind", "output LIKE": "Not done%"}
    rows = _select(data_dir, "tool_calls", "arguments", where=refused)
    return {reference for (arguments,) in rows for reference in references(arguments)}


def read_store(data_dir: Path) -> StoreRows:
    """The rows that the judges need."""
    over = {"state !=": ("sent", "dropped")}
    active = {"state !=": "done"}
    bookings = "tool_calls c JOIN turns t ON t.id = c.turn_id"
    return StoreRows(
        messages=_by_digits(
            _select(
                data_dir,
                "messages",
                "chat, id, state",
                where={"from_me": 0, "kind !=": NOTE_KIND},
                order="seq",
            )
        ),
        open_outbox=_by_digits(_select(data_dir, "outbox", "chat, state", where=over)),
        living_turns=[
            digits_of(chat) for (chat,) in _select(data_dir, "turns", "chat", where=active)
        ],
        calls=_by_digits(
            _select(
                data_dir,
                bookings,
                "t.chat, c.state, c.arguments",
                where={"c.tool": "book"},
                order="c.id",
            )
        ),
        user_items=[
            (digits_of(chat), str(json.loads(item)["content"]))
            for chat, item in _select(data_dir, "thread_items", "chat, item", order="id")
            if json.loads(item).get("role") == "user"
        ],
        ended_turns=[
            row[0] for row in _select(data_dir, "turns", "request_id", where={"state": "done"})
        ],
        reminders=[
            (str(number), state) for number, state in _select(data_dir, "reminders", "id, state")
        ],
        sent_ids=[
            row[0] for row in _select(data_dir, "outbox", "message_id", where={"state": "sent"})
        ],
    )


def timeline(data_dir: Path, chat: str) -> str:
    """The timeline of one chat: messages, turns, runs, responses, tool calls and outbox."""
    lines: list[Line] = []

    def add(kind: str, table: str, columns: str, **where: Any) -> None:
        where = where or {"t.chat": chat}
        found = _select(data_dir, table, columns, where=where)
        lines.extend((float(row[0]), [kind, *row[1:]]) for row in found)

    add(
        "message",
        "messages",
        "received_at, seq, id, state, reason, turn_id, duplicates, message",
        chat=chat,
        from_me=0,
    )
    add(
        "turn",
        "turns",
        "opened_at, id, state, outcome, attempts, superseded, concluded_at, closed_at",
        chat=chat,
    )
    runs = "runs r JOIN turns t ON t.id = r.turn_id"
    add("run", runs, "r.started_at, r.id, r.turn_id, r.state, r.ended_at")
    add(
        "response",
        "responses p JOIN runs r ON r.id = p.run_id JOIN turns t ON t.id = r.turn_id",
        "p.started_at, p.run_id, p.round, p.response_id, p.state, p.calls, p.error",
    )
    add(
        "tool call",
        "tool_calls c JOIN turns t ON t.id = c.turn_id",
        "c.started_at, c.id, c.turn_id, c.state, c.arguments, c.output",
    )
    add("reminder", "reminders", "created_at, id, state, reason, due_at, text", chat=chat)
    add(
        "outbox",
        "outbox",
        "created_at, id, turn_id, state, attempts, attempted_at, sent_at, message_id, body",
        chat=chat,
    )
    return "\n".join(
        f"{at:.3f} {' | '.join(str(field) for field in fields)}"
        for at, fields in sorted(lines, key=lambda line: line[0])
    )


def _select(data_dir: Path, table: str, columns: str, **clauses: Any) -> list[tuple[Any, ...]]:
    """Rows of a store; none if a kill prevented its creation."""
    return select(data_dir, table, columns, **clauses) if database().is_made(data_dir) else []


def _by_digits(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [(digits_of(row[0]), *row[1:]) for row in rows]
