"""Letting go of raw webhook events that are too old to be kept."""

from dataclasses import dataclass
from pathlib import Path

from daemon.ledger.drivers.port import Connection

BATCH = 200
"""Events in one write: a few milliseconds, so that no webhook waits for it."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What one batch has dropped."""

    events: int
    files: int
    """Of these events, those whose body lay in a file."""
    more: bool
    """True if there may be further ones."""


def expire(connection: Connection, *, before: float, folder: Path) -> Expired:
    """Drop the raw bodies of the oldest events from before a time, one batch of them.

    So are those dropped, whatever their age, in which somebody wanted something to disappear.
    The rows stay, without a body, and so does everything read from them. ``before``: Unix seconds;
    ``folder``: where the files of large events lie. Runs inside the caller's transaction: a file
    is deleted before its row says so, so that none is left behind without a name; a file that
    cannot be deleted keeps its row. One that a newer event shares is left to that event.
    """
    rows = connection.execute(
        "SELECT id, body_file FROM events WHERE received_at < ?"
        " AND (body IS NOT NULL OR body_file != '') ORDER BY received_at LIMIT ?",
        (before, BATCH),
    ).fetchall()
    doomed = connection.execute(
        "SELECT id, body_file FROM events WHERE doomed = 1 LIMIT ?", (BATCH,)
    ).fetchall()
    files = 0
    dropped: list[tuple[int]] = []
    for event_id, file in (*rows, *doomed):
        if file and ((event_id, file) in doomed or not _is_shared(connection, file, before)):
            try:
                (folder / file).unlink(missing_ok=True)
            except OSError:
                continue
        files += bool(file)
        dropped.append((event_id,))
    connection.executemany(
        "UPDATE events SET body = NULL, body_file = '', doomed = 0 WHERE id = ?", dropped
    )
    # A batch that achieved nothing is not repeated at once.
    full = BATCH in (len(rows), len(doomed))
    return Expired(events=len(dropped), files=files, more=bool(dropped) and full)


def _is_shared(connection: Connection, file: str, before: float) -> bool:
    row = connection.execute(
        "SELECT 1 FROM events WHERE body_file = ? AND body_file != '' AND received_at >= ? LIMIT 1",
        (file, before),
    ).fetchone()
    return row is not None
