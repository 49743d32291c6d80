"""Versions of what answers are made with: turns answered and enquiries begun with each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.domain.states import ANSWERED, HANDED_OFF
from daemon.domain.versions import Version, VersionResults, VersionUse
from daemon.ledger.drivers.port import Connection, marks

MOST_COUNTED = 2_000
"""Enquiries of one version: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResults:
    """Enquiries that are over."""

    automatic: int = 0
    """Without a person."""
    handed_over: int = 0
    others: int = 0

    @property
    def all(self) -> int:
        """How many there are."""
        return self.automatic + self.handed_over + self.others


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


def results_of(connection: Connection, *, digests: Sequence[str]) -> Mapping[str, TextResults]:
    """What came of the enquiries that began with these instructions, by their hash."""
    known = connection.execute(
        f"SELECT id, instructions FROM versions WHERE instructions IN ({marks(digests)})", digests
    ).fetchall()
    results: dict[str, TextResults] = {}
    for version, digest in known:
        rows = connection.execute(
            "SELECT outcome, COUNT(*) FROM (SELECT outcome FROM enquiries WHERE version_id = ?"
            " AND outcome != 'waiting' ORDER BY id DESC LIMIT ?) newest GROUP BY outcome",
            (version, MOST_COUNTED),
        )
        counts = dict(rows.fetchall())
        before = results.get(digest, TextResults())
        automatic, handed_over = counts.pop("automatic", 0), counts.pop("handed_over", 0)
        results[digest] = TextResults(
            automatic=before.automatic + automatic,
            handed_over=before.handed_over + handed_over,
            others=before.others + sum(counts.values()),
        )
    return results
