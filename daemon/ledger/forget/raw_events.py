"""Finding one person in the raw bodies of webhook calls, and letting go of those."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from daemon.ledger.admin.person import Person
from daemon.ledger.drivers.port import Connection

EVENTS_LOOKED_AT = 500
"""Events in one read: their bodies are read one after the other, which takes milliseconds."""

_TOKENS = re.compile(rb'"([^"\\]{4,128})"')
"""Strings of a JSON body that may be ids."""


def find_events(
    connection: Connection, person: Person, folder: Path, *, after: int, up_to: int
) -> tuple[list[int], int]:
    """Look for the person's names and message ids in the next raw bodies that are kept.

    Gives the events that say something of the person, and the last event that was looked at: 0 if
    there are no more.
    """
    ids = {message_id.encode() for message_id in person.message_ids}
    found, last = [], 0
    rows = connection.execute(
        "SELECT id, body, body_file FROM events WHERE id > ? AND id <= ?"
        " AND (body IS NOT NULL OR body_file != '') ORDER BY id LIMIT ?",
        (after, up_to, EVENTS_LOOKED_AT),
    )
    for event_id, kept, file in rows:
        last = event_id
        body = kept or b""
        if file:
            with suppress(FileNotFoundError):
                body = (folder / file).read_bytes()
        if person.raw_pattern.search(body) or not ids.isdisjoint(_TOKENS.findall(body)):
            found.append(event_id)
    return found, last


def drop_events(connection: Connection, ids: Sequence[int], folder: Path) -> int:
    """Let go of some raw bodies, inside the caller's transaction; gives how many there were.

    Files go before the rows that name them, so that none is left behind without a name.
    """
    rows = connection.execute(
        "SELECT id, body_file FROM events WHERE id IN (SELECT value FROM json_each(?))"
        " AND (body IS NOT NULL OR body_file != '' OR unreadable != '')",
        (json.dumps(list(ids)),),
    ).fetchall()
    for _, file in rows:
        if file:
            (folder / file).unlink(missing_ok=True)
    connection.executemany(
        "UPDATE events SET body = NULL, body_file = '', unreadable = '', doomed = 0 WHERE id = ?",
        [(event_id,) for event_id, _ in rows],
    )
    return len(rows)
