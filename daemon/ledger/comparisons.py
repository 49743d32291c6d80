"""Comparisons: stored turns, what a candidate answers in them, and what people hold to be right.

The customer's words and the old answer are the turn's own rows; so both go with the turn, by
retention and when a person is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.domain.comparison import MARKS
from daemon.domain.limits import MICROS
from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.drivers.port import Connection, Role, marks, named, query, transaction
from daemon.ledger.people import REMEMBERED
from daemon.ledger.recordings import recording_of

LISTED = 50
DROPPED_AT_ONCE = 200

_CHOSEN = """
    (:show = 'all' OR verdict = :show
        OR (verdict != 'same' AND (:show = 'changed' OR (:show = 'unmarked' AND mark = ''))))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTurn:
    """What a candidate answered in a stored turn."""

    turn_id: int
    verdict: str
    """``failed``, ``worse``, ``changed``, ``better``, ``equal`` or ``same``."""
    reason: str
    """The judge's, or why there is no answer."""
    answer: str
    """Empty if it is the same."""
    tools: str
    """Names, with commas between."""
    not_recorded: str
    """Those among them whose result was not known."""
    cost: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewComparison:
    """A comparison to be kept. Its turns are in the order in which they are shown."""

    number: str
    instructions: str
    """The name of the file; empty for those of all."""
    model: str
    version: str
    simulated: bool
    currency: str
    left_out: int
    judge_cost: float
    agreed: int
    labelled: int
    turns: Sequence[CandidateTurn]


def keep_comparison(connection: Connection, new: NewComparison, *, now: float) -> int:
    """Keep a comparison; gives its number. Turns of persons forgotten meanwhile are left out."""
    (found,) = connection.execute(
        "INSERT INTO comparisons (channel, at, instructions, model, version, simulated, currency,"
        " left_out, judge_micros, agreed, labelled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING id",
        (
            *(new.number, now, new.instructions, new.model, new.version, int(new.simulated)),
            *(new.currency, new.left_out, round(new.judge_cost * MICROS)),
            *(new.agreed, new.labelled),
        ),
    ).fetchone()
    connection.executemany(
        "INSERT INTO compared_turns (comparison_id, turn_id, verdict, reason, answer, tools,"
        " not_recorded, micros, seconds)"
        f" SELECT ?, id, ?, ?, ?, ?, ?, ?, ? FROM turns WHERE id = ? AND {REMEMBERED}",
        [
            (
                *(found, turn.verdict, _text(turn.reason), _text(turn.answer), turn.tools),
                *(turn.not_recorded, round(turn.cost * MICROS), turn.seconds, turn.turn_id),
            )
            for turn in new.turns
        ],
    )
    return int(found)


class Comparisons(Role):
    """What comparisons found. Any task may read; operators mark."""

    @query
    def newest(self, connection: Connection) -> list[JsonObject]:
        """The newest ones, each with its counts."""
        heads = named(
            connection.execute("SELECT * FROM comparisons ORDER BY id DESC LIMIT ?", (LISTED,))
        )
        return [{**head, **_counts(connection, head["id"])} for head in heads]

    @query
    def one(
        self, connection: Connection, comparison_id: int, *, show: str, after: int, limit: int
    ) -> JsonObject | None:
        """A comparison with some of its turns (`CHOICES`), those behind a row; None if unknown."""
        heads = named(
            connection.execute("SELECT * FROM comparisons WHERE id = ?", (comparison_id,))
        )
        if not heads:
            return None
        found = named(
            connection.execute(
                "SELECT c.*, t.channel, t.chat, t.request_id, t.opened_at FROM compared_turns c"
                " JOIN turns t ON t.id = c.turn_id WHERE c.comparison_id = :one AND c.id > :after"
                f" AND {_CHOSEN} ORDER BY c.id LIMIT :most",
                {"one": comparison_id, "after": after, "show": show, "most": limit + 1},
            )
        )
        return {
            **heads[0],
            **_counts(connection, comparison_id),
            "rows": [_row(connection, row) for row in found[:limit]],
            "next": found[limit - 1]["id"] if len(found) > limit else 0,
        }

    @transaction
    def mark(
        self,
        connection: Connection,
        comparison_id: int,
        row: int,
        mark: str,
        *,
        by: str,
        now: float,
    ) -> bool:
        """Note which answer is right, one of `MARKS`, or none; False if there is no such row."""
        done = connection.execute(
            "UPDATE compared_turns SET mark = ?, marked_by = ?, marked_at = ?"
            " WHERE id = ? AND comparison_id = ?",
            (mark, by if mark else "", now if mark else None, row, comparison_id),
        )
        return bool(done.rowcount)

    @transaction
    def drop_old(self, connection: Connection, *, before: float) -> int:
        """Delete some of what was compared before a time; gives how many turns."""
        rows = connection.execute(
            "SELECT id FROM compared_turns WHERE comparison_id IN"
            " (SELECT id FROM comparisons WHERE at < ?) LIMIT ?",
            (before, DROPPED_AT_ONCE),
        ).fetchall()
        ids = [row[0] for row in rows]
        connection.execute(f"DELETE FROM compared_turns WHERE id IN ({marks(ids)})", ids)
        connection.execute(
            "DELETE FROM comparisons WHERE at < ? AND NOT EXISTS"
            " (SELECT 1 FROM compared_turns c WHERE c.comparison_id = comparisons.id)",
            (before,),
        )
        return len(ids)


def _counts(connection: Connection, comparison_id: int) -> JsonObject:
    """How many turns there are of each verdict and mark, and what they cost."""
    rows = connection.execute(
        "SELECT verdict, mark, COUNT(*), SUM(micros) FROM compared_turns WHERE comparison_id = ?"
        " GROUP BY verdict, mark",
        (comparison_id,),
    ).fetchall()
    verdicts: dict[str, int] = {}
    marked = dict.fromkeys(MARKS, 0)
    decided = agreed = micros = 0
    for verdict, mark, count, cost in rows:
        verdicts[verdict] = verdicts.get(verdict, 0) + count
        micros += cost
        if mark:
            marked[mark] += count
        if mark in {"old", "new"} and verdict in {"better", "worse", "equal"}:
            decided += count
            agreed += count if (verdict, mark) in {("better", "new"), ("worse", "old")} else 0
    return {
        "turns": sum(verdicts.values()),
        "verdicts": verdicts,
        "marked": marked,
        "micros": micros,
        "people_decided": decided,
        "people_agreed": agreed,
    }


def _row(connection: Connection, row: JsonObject) -> JsonObject:
    """A turn, with both answers."""
    key, turn_id = ChatKey(row["channel"], row["chat"]), row["turn_id"]
    recording = recording_of(connection, key, turn_id)
    began, ended = connection.execute(
        "SELECT MIN(started_at), MAX(ended_at) FROM runs WHERE turn_id = ?", (turn_id,)
    ).fetchone()
    (micros,) = connection.execute(
        "SELECT COALESCE(SUM(u.micros), 0) FROM runs r JOIN usage u ON u.run_id = r.id"
        " WHERE r.turn_id = ?",
        (turn_id,),
    ).fetchone()
    names = connection.execute(
        "SELECT ref, name, contact_name FROM chats WHERE channel = ? AND chat = ?", key
    ).fetchone() or ("", "", "")
    return {
        **row,
        "ref": names[0],
        "name": names[2] or names[1],
        "says": recording.says,
        "before": recording.answers,
        "before_tools": ", ".join(call.tool for call in recording.calls),
        "before_micros": int(micros),
        "before_seconds": None if began is None or ended is None else ended - began,
    }


def _text(text: str) -> str:
    return text.replace("\0", "")
