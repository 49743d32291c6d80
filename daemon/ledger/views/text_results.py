"""What came of customers' enquiries, by the instructions that answered them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
