"""Finding one person in the raw bodies of webhook calls, and letting go of those."""

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemon.store.operator.person import Person

_TOKENS = re.compile(rb'"([^"\\]{4,128})"')
"""Strings of a JSON body that may be ids."""


@dataclass(slots=True)
class Found:
    """Raw events that say something of the person."""

    last: int = 0
    """The newest event that was looked at."""
    ids: list[int] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    """Ids of messages that have not come yet, of which these events told a change."""


def find_events(
    connection: sqlite3.Connection, person: Person, folder: Path, *, after: int
) -> Found:
    """Look for the person's names and message ids in every raw body that is kept."""
    found = Found(last=after)
    targets = {str(row[0]) for row in connection.execute("SELECT target FROM early_changes")}
    rows = connection.execute(
        "SELECT id, body, body_file FROM events WHERE id > ?"
        " AND (body IS NOT NULL OR body_file != '') ORDER BY id",
        (after,),
    )
    for event_id, kept, file in rows:
        found.last = event_id
        body = kept or b""
        if file:
            with suppress(FileNotFoundError):
                body = (folder / file).read_bytes()
        tokens = {token.decode("utf-8", "replace") for token in _TOKENS.findall(body)}
        if (
            event_id in person.event_ids
            or person.raw_pattern.search(body)
            or not person.message_ids.isdisjoint(tokens)
        ):
            found.ids.append(event_id)
            found.early |= targets & tokens
            if file:
                found.files.add(file)
    return found


def events_of(connection: sqlite3.Connection, ids: Sequence[int]) -> Found:
    """Certain raw events, and the files in which they lie."""
    rows = connection.execute(
        "SELECT body_file FROM events WHERE body_file != ''"
        " AND id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return Found(ids=list(ids), files={str(row[0]) for row in rows})


def drop_events(connection: sqlite3.Connection, found: Sequence[Found], folder: Path) -> None:
    """Let go of the raw bodies that were found, inside the caller's transaction.

    Files go before the rows that name them, so that none is left behind without a name.
    """
    for part in found:
        for file in part.files:
            (folder / file).unlink(missing_ok=True)
        connection.executemany(
            "UPDATE events SET body = NULL, body_file = '', unreadable = '' WHERE id = ?",
            [(event_id,) for event_id in part.ids],
        )
        connection.executemany(
            "DELETE FROM early_changes WHERE target = ?", [(target,) for target in part.early]
        )
