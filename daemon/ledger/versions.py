"""Versions of what answers are made with, and the turns that were answered with each."""

from daemon.domain.states import ANSWERED, HANDED_OFF
from daemon.domain.versions import Version, VersionResults, VersionUse
from daemon.ledger.drivers.port import Connection


def note_attempt(
    connection: Connection,
    turn_id: int,
    attempt: int,
    version: Version | None,
    instructions: str,
    *,
    now: float,
) -> None:
    """Note how often the work on a turn has begun, and with what; in the caller's transaction.

    A version that is known costs no statement of its own.
    """
    digest = version.digest if version else ""
    row = connection.execute(
        "UPDATE turns SET attempts = ?, version_id = (SELECT id FROM versions WHERE digest = ?)"
        " WHERE id = ? AND attempts < ? RETURNING version_id",
        (attempt, digest, turn_id, attempt),
    ).fetchone()
    if version is None or row is None or row[0] is not None:
        return
    connection.execute(
        "INSERT INTO versions (digest, instructions, tools, validators, knowledge, model,"
        " model_name, text, first_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (digest) DO NOTHING",
        (
            digest,
            version.instructions,
            version.tools,
            version.validators,
            version.knowledge,
            version.model,
            version.model_name,
            instructions.replace("\0", ""),
            now,
        ),
    )
    connection.execute(
        "UPDATE turns SET version_id = (SELECT id FROM versions WHERE digest = ?) WHERE id = ?",
        (digest, turn_id),
    )


def version_uses(connection: Connection) -> list[VersionUse]:
    """All versions with the results of their turns, oldest first. It reads all turns."""
    results = _results(connection)
    rows = connection.execute(
        "SELECT id, digest, instructions, tools, validators, knowledge, model, model_name, text,"
        " first_at FROM versions ORDER BY id"
    )
    return [
        VersionUse(
            version=Version(
                instructions=row[2],
                tools=row[3],
                validators=row[4],
                knowledge=row[5],
                model=row[6],
                model_name=row[7],
            ),
            digest=row[1],
            text=row[8],
            first_at=row[9],
            results=results.get(int(row[0]), VersionResults()),
        )
        for row in rows
    ]


def _results(connection: Connection) -> dict[int, VersionResults]:
    """The results of each version's turns, by its id."""
    rows = connection.execute(
        "SELECT version_id, outcome, COUNT(*), COUNT(escalations.turn_id), MAX(opened_at)"
        " FROM turns LEFT JOIN escalations ON escalations.turn_id = turns.id"
        " WHERE version_id IS NOT NULL GROUP BY version_id, outcome"
    )
    results: dict[int, VersionResults] = {}
    for version_id, outcome, turns, escalated, last_at in rows:
        before = results.get(int(version_id), VersionResults())
        results[int(version_id)] = VersionResults(
            turns=before.turns + turns,
            answered=before.answered + (turns - escalated if outcome == ANSWERED else 0),
            handed_over=before.handed_over + (turns if outcome == HANDED_OFF else escalated),
            last_at=max(before.last_at, last_at),
        )
    return results
