"""The answers of candidates in shadow, one a turn; and the enquiries of versions, to compare."""

from dataclasses import dataclass
from typing import NamedTuple

from daemon.domain.versions import Version
from daemon.ledger.drivers.port import Connection, Role, named, transaction
from daemon.ledger.people import FORGOTTEN
from daemon.ledger.runs import keep_version

MOST_COMPARED = 20_000
"""The newest of a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateAnswer:
    """What a candidate would have said."""

    text: str
    """Empty if it gave no answer."""
    tools: str
    """The names of the tools that it called for, with spaces between."""
    micros: int
    seconds: float


class ComparedEnquiry(NamedTuple):
    """An enquiry, as a comparison needs it."""

    outcome: str
    reopened: bool
    thanks: int
    micros: int
    first_answer_seconds: float | None


class Candidates(Role):
    """The answers of candidates. Written by their tasks."""

    @transaction
    def keep(
        self,
        connection: Connection,
        turn_id: int,
        answer: CandidateAnswer,
        *,
        version: Version,
        instructions: str,
        now: float,
    ) -> None:
        """Keep an answer, unless its person was forgotten meanwhile."""
        version_id = keep_version(connection, version, instructions, now=now)
        connection.execute(
            "INSERT INTO candidate_answers (turn_id, version_id, text, tools, micros, seconds, at)"
            " SELECT id, ?, ?, ?, ?, ?, ? FROM turns WHERE id = ?"
            f" AND chat NOT LIKE '{FORGOTTEN}%' ON CONFLICT (turn_id) DO NOTHING",
            (
                *(version_id, answer.text.replace("\0", ""), answer.tools),
                *(answer.micros, answer.seconds, now, turn_id),
            ),
        )


def compared_enquiries(
    connection: Connection, digest: str, *, since: float
) -> list[ComparedEnquiry]:
    """The enquiries that began with a version, since a time; the newest if there are many."""
    rows = connection.execute(
        "SELECT outcome, reopened, thanks, micros, first_answer_seconds FROM enquiries"
        " WHERE version_id = (SELECT id FROM versions WHERE digest = ?) AND version_id IS NOT NULL"
        " AND began_at >= ? ORDER BY id DESC LIMIT ?",
        (digest, since, MOST_COMPARED),
    )
    return [ComparedEnquiry(row[0], bool(row[1]), *row[2:]) for row in rows]


def candidate_answers(
    connection: Connection, digest: str, *, since: float
) -> list[CandidateAnswer]:
    """What a version has answered in shadow, since a time; the newest if there are many."""
    rows = connection.execute(
        "SELECT text, tools, micros, seconds FROM candidate_answers"
        " WHERE version_id = (SELECT id FROM versions WHERE digest = ?) AND at >= ?"
        " ORDER BY at DESC LIMIT ?",
        (digest, since, MOST_COMPARED),
    )
    return [CandidateAnswer(**row) for row in named(rows)]
