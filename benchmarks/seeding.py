"""Stores with a past: as many known threads as are wanted, each with a turn that was answered."""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from subject import Outside, recado

CHANNEL = "MANTIS-M72HC"
STEP_SECONDS = 0.05
"""Between two threads' turns; the last was just now."""


def seeded(folder: Path, outside: Outside, threads: int) -> Path:
    """A data folder with so many threads, made by a Recado of this version and then filled."""
    with recado(folder, outside) as made:
        made.stop()
    (folder / "log").unlink()
    with closing(sqlite3.connect(folder / "recado.db")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            for statement, rows in _tables(threads, time.time() - threads * STEP_SECONDS):
                connection.executemany(statement, rows)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def copied(source: Path, folder: Path) -> Path:
    """A copy of a data folder that nobody has open."""
    shutil.copytree(source, folder)
    return folder


def _tables(threads: int, began: float) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    """The rows that a turn leaves behind, table by table."""
    numbers = range(1, threads + 1)

    def at(number: int) -> float:
        return began + number * STEP_SECONDS

    def chat(number: int) -> str:
        return f"571{number:09d}@s.whatsapp.net"

    yield (
        "INSERT INTO events (id, received_at, channel, event, body) VALUES (?, ?, ?, ?, ?)",
        ((n, at(n), CHANNEL, "messages.post", _body(n, chat(n), at(n)).encode()) for n in numbers),
    )
    yield (
        (
            "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at)"
            " VALUES (?, ?, 'Laura', 'Laura Cliente', ?, ?)"
        ),
        ((CHANNEL, chat(n), at(n), at(n)) for n in numbers),
    )
    yield (
        (
            "INSERT INTO turns (id, channel, chat, state, outcome, request_id, opened_at,"
            " concluded_at, closed_at) VALUES (?, ?, ?, 'done', 'answered', ?, ?, ?, ?)"
        ),
        ((n, CHANNEL, chat(n), f"seed_{n}", at(n), at(n), at(n)) for n in numbers),
    )
    yield (
        (
            "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
            " received_at, state, turn_id) VALUES (?, ?, ?, ?, 'text', 0, ?, ?, ?, 'answered', ?)"
        ),
        (
            (CHANNEL, f"seed-{n}", chat(n), n, _message(n, chat(n), at(n)), at(n), at(n), n)
            for n in numbers
        ),
    )
    yield (
        (
            "INSERT INTO outbox (channel, chat, turn_id, body, state, message_id, attempts,"
            " status, created_at, attempted_at, sent_at)"
            " VALUES (?, ?, ?, ?, 'sent', ?, 1, 'read', ?, ?, ?)"
        ),
        (
            (CHANNEL, chat(n), n, f"Sí, hay cupo, consulta {n}.", f"sent-{n}", at(n), at(n), at(n))
            for n in numbers
        ),
    )
    for role, words in (("user", "¿Hay cupo el viernes?"), ("assistant", "Sí, hay cupo.")):
        kind = "input_text" if role == "user" else "output_text"
        item = json.dumps({"role": role, "content": [{"type": kind, "text": words}]})
        yield (
            (
                "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
                " VALUES (?, ?, ?, ?, 12, ?)"
            ),
            ((CHANNEL, chat(n), n, item, at(n)) for n in numbers),
        )


def _message(number: int, chat: str, at: float) -> str:
    message = {
        "id": f"seed-{number}",
        "key": [CHANNEL, chat],
        "kind": "text",
        "content": {"type": "text", "body": f"¿Hay cupo el viernes? consulta {number}"},
        "author_name": "Laura",
        "sent_at": at,
    }
    return json.dumps(message)


def _body(number: int, chat: str, at: float) -> str:
    message = {
        "id": f"seed-{number}",
        "from_me": False,
        "type": "text",
        "chat_id": chat,
        "timestamp": int(at),
        "text": {"body": f"¿Hay cupo el viernes? consulta {number}"},
        "from_name": "Laura",
    }
    event = {"type": "messages", "event": "post"}
    return json.dumps({"messages": [message], "event": event, "channel_id": CHANNEL})
