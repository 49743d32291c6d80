"""Enquiries: what customers wanted, one row each, and what came of it.

One side task of the process keeps them in step, behind the messages and outside of their writes: it
takes new messages in by their numbers, and looks again at what is not settled. What it reads of an
enquiry is between its first and its last message, so nothing here grows with the store.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from daemon.domain.ids import is_group
from daemon.domain.limits import day_of
from daemon.domain.messages import NOTE_KIND, ChatKey, Reaction, Text
from daemon.domain.outcomes import (
    QUIET_SECONDS,
    EnquiryFacts,
    EnquiryOutcome,
    EnquiryRow,
    goes_on,
    outcome_of,
    reopens,
    thanks_in,
)
from daemon.domain.states import ANSWERED, FOR_BOT, HANDED_OFF, IGNORED, RECEIVED, SENT, WITH_AGENT
from daemon.ledger.drivers.port import Connection, Role, listed, marks, query, reading, transaction
from daemon.ledger.messages import read_message
from daemon.ledger.people import FORGOTTEN

TAKEN_AT_ONCE = 100
"""Messages in one write, so that it delays no other for long."""

LOOKED_AT_ONCE = 50

KEPT_DAYS = 800
"""Rows of two years and a little more, to compare a month with those of earlier years."""

_AGENT = f"(m.from_me = 1 AND (m.state = '{RECEIVED}' OR m.reason = 'agent'))"
_CUSTOMER = f"m.from_me = 0 AND m.kind != '{NOTE_KIND}'"
_REACTION = "m.content_type = 'reaction'"
_RANGE = "m.channel || '/' || m.chat = :name AND m.seq BETWEEN :first AND :last"
_FACTS = f"""
    SELECT
        COUNT(CASE WHEN {_CUSTOMER} AND m.state IN ({listed((*FOR_BOT, WITH_AGENT))}) THEN 1 END),
        COUNT(CASE WHEN {_CUSTOMER} AND m.state = '{ANSWERED}' THEN 1 END),
        COUNT(CASE WHEN {_AGENT} OR ({_CUSTOMER} AND m.state IN ('{HANDED_OFF}', '{WITH_AGENT}'))
            THEN 1 END),
        MIN(CASE WHEN {_AGENT} THEN m.received_at END)
    FROM messages m WHERE {_RANGE}
"""
_TURNS = f"SELECT DISTINCT m.turn_id FROM messages m WHERE {_RANGE} AND m.turn_id IS NOT NULL"
_ANSWERS = f"""
    SELECT MIN(o.sent_at) FROM outbox o
    WHERE o.turn_id IN ({_TURNS} AND {_CUSTOMER}) AND o.state = '{SENT}'
"""
_COSTS = f"""
    SELECT COALESCE(SUM(u.micros), 0) FROM runs r JOIN usage u ON u.run_id = r.id
    WHERE r.turn_id IN ({_TURNS})
"""
_WORDS = f"""
    SELECT m.message FROM messages m WHERE {_RANGE} AND {_CUSTOMER} ORDER BY m.seq DESC LIMIT 10
"""
_ESCALATED = f"SELECT 1 FROM escalations e WHERE e.turn_id IN ({_TURNS}) LIMIT 1"
_VERSION = f"""
    SELECT t.version_id FROM turns t WHERE t.id IN ({_TURNS}) AND t.version_id IS NOT NULL
    ORDER BY t.id LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeInResult:
    """What one step has taken in."""

    messages: int = 0
    """`TAKEN_AT_ONCE`: there may be more."""
    enquiries: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnquiryState:
    """An enquiry as it is now."""

    id: int
    outcome: EnquiryOutcome
    reopened: bool
    first_answer_seconds: float | None
    version_id: int | None
    micros: int
    thanks: int
    began_at: float
    settled: bool
    """True if nothing of it changes any more, unless it is reopened."""


def enquiries_between(
    connection: Connection, first_day: str, last_day: str, *, number: str = ""
) -> tuple[EnquiryRow, ...]:
    """The enquiries of some days, both included; of one number if it is named.

    Those that are alike are counted together.
    """
    rows = connection.execute(
        "SELECT day, channel, topic, outcome, reopened, ROUND(first_answer_seconds * 10), COUNT(*)"
        " FROM enquiries WHERE day BETWEEN ? AND ? AND (? = '' OR channel = ?) GROUP BY day,"
        " channel, topic, outcome, reopened, ROUND(first_answer_seconds * 10)",
        (first_day, last_day, number, number),
    )
    return tuple(
        EnquiryRow(
            day,
            channel,
            outcome,
            bool(reopened),
            None if tenths is None else tenths / 10,
            topic,
            amount,
        )
        for day, channel, topic, outcome, reopened, tenths, amount in rows
    )


class Enquiries(Role):
    """The enquiries. One task of the process writes them; any task may read."""

    @query
    def is_behind(self, connection: Connection, number: str) -> bool:
        """Whether there are messages that `take_in` has not seen."""
        row = connection.execute(
            "SELECT 1 WHERE COALESCE((SELECT MAX(seq) FROM messages), 0)"
            " > COALESCE((SELECT seq FROM enquiry_marks WHERE channel = ?), 0)",
            (number,),
        ).fetchone()
        return row is not None

    @transaction
    def take_in(self, connection: Connection, number: str, zone: ZoneInfo) -> TakeInResult:
        """Take the next messages of a number into its enquiries. Groups have none."""
        mark, newest = connection.execute(
            "SELECT COALESCE((SELECT seq FROM enquiry_marks WHERE channel = ?), 0),"
            " COALESCE((SELECT MAX(seq) FROM messages), 0)",
            (number,),
        ).fetchone()
        rows = connection.execute(
            f"SELECT m.seq, m.chat, CASE WHEN m.from_me = 1 OR {_REACTION} THEN 0 ELSE 1 END,"
            f" m.received_at, CASE WHEN {_REACTION} THEN 1 ELSE 0 END FROM messages m"
            # By the column itself SQLite would rather read all messages of the number.
            " WHERE m.seq > ? AND m.seq <= ? AND m.channel || '' = ?"
            f" AND m.chat NOT LIKE '{FORGOTTEN}%'"
            # The first write that forgets a person ends the chat; the messages are erased later.
            " AND EXISTS (SELECT 1 FROM chats c WHERE c.channel = m.channel AND c.chat = m.chat)"
            f" AND ({_AGENT} OR ({_CUSTOMER} AND (m.state != '{IGNORED}' OR {_REACTION})))"
            " ORDER BY m.seq LIMIT ?",
            (mark, newest, number, TAKEN_AT_ONCE),
        ).fetchall()
        touched = frozenset(
            found
            for seq, chat, may_begin, at, is_reaction in rows
            if not is_group(chat)
            and (
                found := _assign(
                    connection,
                    ChatKey(number, chat),
                    EnquiryMessage(seq, at, bool(may_begin), bool(is_reaction)),
                    zone,
                )
            )
        )
        reached = rows[-1][0] if len(rows) == TAKEN_AT_ONCE else newest
        if reached != mark:
            connection.execute(
                "INSERT INTO enquiry_marks (channel, seq) VALUES (?, ?)"
                " ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq",
                (number, reached),
            )
        return TakeInResult(messages=len(rows), enquiries=touched)

    @query
    def due(self, connection: Connection, number: str, *, now: float) -> tuple[int, ...]:
        """The enquiries to be looked at: those that wait, and those that may be settled."""
        waiting = connection.execute(
            "SELECT id FROM enquiries WHERE channel = ? AND outcome = 'waiting'"
            " ORDER BY looked_at LIMIT ?",
            (number, LOOKED_AT_ONCE),
        ).fetchall()
        over = connection.execute(
            "SELECT id FROM enquiries WHERE channel = ? AND settled = 0 AND last_at <= ?"
            " AND outcome != 'waiting' ORDER BY last_at LIMIT ?",
            (number, now - QUIET_SECONDS, LOOKED_AT_ONCE),
        ).fetchall()
        return tuple(row[0] for row in (*waiting, *over))

    @query
    def look(
        self, connection: Connection, ids: Collection[int], *, now: float
    ) -> tuple[EnquiryState, ...]:
        """What these are now."""
        names = [*ids]
        rows = connection.execute(
            "SELECT id, channel, chat, first_seq, last_seq, began_at, last_at, reopened"
            f" FROM enquiries WHERE id IN ({marks(names)}) AND chat != ''",
            (*names,),
        ).fetchall()
        return tuple(_look(connection, row, now) for row in rows)

    @transaction
    def note(self, connection: Connection, looked: Sequence[EnquiryState], *, now: float) -> None:
        """Keep what was found. A person who was forgotten meanwhile is left alone."""
        connection.executemany(
            "UPDATE enquiries SET outcome = ?, first_answer_seconds = ?, version_id = ?,"
            " micros = ?, thanks = ?, settled = ?, looked_at = ? WHERE id = ? AND chat != ''",
            [
                (
                    *(one.outcome, one.first_answer_seconds, one.version_id, one.micros),
                    *(one.thanks, int(one.settled), now, one.id),
                )
                for one in looked
            ],
        )

    between = reading(enquiries_between)

    @transaction
    def drop_old(self, connection: Connection, *, before_day: str, limit: int) -> int:
        """Delete some rows of days before one; gives how many."""
        return connection.execute(
            "DELETE FROM enquiries WHERE id IN"
            " (SELECT id FROM enquiries WHERE day < ? ORDER BY day LIMIT ?)",
            (before_day, limit),
        ).rowcount


class EnquiryMessage(NamedTuple):
    """A message that is taken in."""

    seq: int
    at: float
    may_begin: bool
    """True if a customer has written it."""
    is_reaction: bool


def _assign(connection: Connection, key: ChatKey, came: EnquiryMessage, zone: ZoneInfo) -> int:
    """Put a message into its enquiry, or let it begin one; gives its id, 0 for none."""
    last = connection.execute(
        "SELECT id, began_at, last_at, outcome FROM enquiries WHERE channel = ? AND chat = ?"
        " ORDER BY id DESC LIMIT 1",
        key,
    ).fetchone()
    if last is not None and goes_on(began_at=last[1], last_at=last[2], at=came.at):
        last_at = last[2] if came.is_reaction else came.at  # nobody waits for an answer to it
        connection.execute(
            "UPDATE enquiries SET last_at = ?, last_seq = ?, settled = 0 WHERE id = ?",
            (last_at, came.seq, last[0]),
        )
        return int(last[0])
    if not came.may_begin:
        return 0  # a person of the business begins: the customer has asked nothing
    if last is not None and reopens(last[3], last_at=last[2], at=came.at):
        connection.execute("UPDATE enquiries SET reopened = 1 WHERE id = ?", (last[0],))
    (found,) = connection.execute(
        "INSERT INTO enquiries (channel, chat, day, began_at, last_at, first_seq, last_seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (*key, day_of(came.at, zone), came.at, came.at, came.seq, came.seq),
    ).fetchone()
    return int(found)


def _look(
    connection: Connection,
    row: tuple[int, str, str, int, int, float, float, int],
    now: float,
) -> EnquiryState:
    row_id, channel, chat, first, last, began_at, last_at, reopened = row
    names = {"name": f"{channel}/{chat}", "first": first, "last": last}
    open_, answered, by_person, agent_at = connection.execute(_FACTS, names).fetchone()
    (sent_at,) = connection.execute(_ANSWERS, names).fetchone()
    (micros,) = connection.execute(_COSTS, names).fetchone()
    version = connection.execute(_VERSION, names).fetchone()
    answers = [at for at in (sent_at, agent_at) if at is not None]
    facts = EnquiryFacts(
        open=open_,
        answered=answered,
        by_person=by_person,
        escalated=connection.execute(_ESCALATED, names).fetchone() is not None,
        answered_at=min(answers, default=None),
    )
    outcome = outcome_of(facts)
    return EnquiryState(
        id=row_id,
        outcome=outcome,
        reopened=bool(reopened),
        first_answer_seconds=None
        if facts.answered_at is None
        else max(0.0, facts.answered_at - began_at),
        version_id=version[0] if version else None,
        micros=int(micros),
        thanks=_thanks(connection, names),
        began_at=began_at,
        settled=outcome != "waiting" and now - last_at >= QUIET_SECONDS,
    )


def _thanks(connection: Connection, names: dict[str, Any]) -> int:
    """What the customer's last words and reactions say of the answers."""
    contents = [read_message.decode(row[0]).content for row in connection.execute(_WORDS, names)]
    return thanks_in(
        [content.body for content in contents if isinstance(content, Text)],
        [content.emoji for content in contents if isinstance(content, Reaction)],
    )
