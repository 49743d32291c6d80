"""The process's own records: its end, stages of turns, log lines, sessions, figures."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from daemon.domain.dashboard_values import LogLine, LogQuery, Sample
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import DEAD, WITH_AGENT, ProcessEnd
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.port import Connection, Role, query, transaction
from daemon.ledger.messages import UNANSWERED
from daemon.ledger.outbox import OPEN_ROWS
from daemon.ledger.people import canonical
from daemon.ledger.search import escaped


@dataclass(frozen=True, slots=True)
class EarlierEnds:
    """The ends of the processes before this one."""

    last_end: ProcessEnd | None = None
    """None if there was none."""
    last_stop_seconds: float = 0
    """How long its stop took; 0 unless it was clean."""
    ends: dict[str, int] = field(default_factory=dict)
    """How many processes have ended in which way since the store was made."""


class ProcessHistory(Role):
    """The row of the last process of each node: the next one finds out how it ended."""

    @transaction
    def begin(self, connection: Connection, *, node: str = "", now: float) -> EarlierEnds:
        """Count how the node's last process ended, and begin the row of this one.

        Raises StoreUnavailable.
        """
        row = connection.execute(
            "SELECT stopping_at, stopped_at FROM process_lives WHERE node = ?", (node,)
        ).fetchone()
        end, seconds = _end_of(row) if row else (None, 0.0)
        connection.execute("UPDATE process_ends SET count = count + 1 WHERE how = ?", (end,))
        connection.execute(
            "INSERT INTO process_lives (node, started_at) VALUES (?, ?) ON CONFLICT (node)"
            " DO UPDATE SET started_at = excluded.started_at, stopping_at = NULL,"
            " stopped_at = NULL",
            (node, now),
        )
        ends = dict(connection.execute("SELECT how, count FROM process_ends").fetchall())
        return EarlierEnds(end, seconds, ends)

    async def stopping(self, *, node: str = "", now: float) -> None:
        """The stop has begun. Raises StoreUnavailable."""
        await self._note("stopping_at", node, now)

    async def stopped(self, *, node: str = "", now: float) -> None:
        """Only closing the store is left. Raises StoreUnavailable."""
        await self._note("stopped_at", node, now)

    @transaction
    def _note(
        self,
        connection: Connection,
        column: Literal["stopping_at", "stopped_at"],
        node: str,
        now: float,
    ) -> None:
        connection.execute(f"UPDATE process_lives SET {column} = ? WHERE node = ?", (now, node))


def _end_of(row: tuple[float | None, float | None]) -> tuple[ProcessEnd, float]:
    stopping_at, stopped_at = row
    if stopped_at is not None:
        return "clean", max(0.0, stopped_at - (stopping_at or stopped_at))
    return ("crashed" if stopping_at is None else "forced"), 0.0


STAGES_A_WRITE = 2_000
"""Rows deleted in one write: a few milliseconds, so that no webhook waits for it."""


class StageRow(NamedTuple):
    """The beginning of one stage of a turn; ``at`` in Unix seconds."""

    turn_id: int
    stage: str
    at: float
    detail: str


class Stages(Role):
    """When the stages of turns began. One task adds them, one deletes old ones."""

    @transaction
    def add(self, connection: Connection, rows: Sequence[StageRow]) -> None:
        """Keep the stages of turns that have ended, in one write. Raises StoreUnavailable."""
        connection.executemany(
            "INSERT INTO stages (turn_id, stage, at, detail) SELECT ?, ?, ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM stages WHERE turn_id = ? AND at = ? AND stage = ?)",
            [(*row, row.turn_id, row.at, row.stage) for row in rows],
        )

    @transaction
    def drop_old(self, connection: Connection, *, before: float) -> bool:
        """Delete a batch of those from before a time (Unix seconds); True if there may be more.

        Raises StoreUnavailable.
        """
        deleted = connection.execute(
            "DELETE FROM stages WHERE id IN (SELECT id FROM stages WHERE at < ? LIMIT ?)",
            (before, STAGES_A_WRITE),
        )
        return deleted.rowcount == STAGES_A_WRITE


@dataclass(slots=True)
class NumberBacklog:
    """The counts of waiting and dead work in the chats of one number."""

    oldest_for_bot: float = 0
    """When the oldest message came that the bot is to answer, Unix seconds; 0 if there is none."""
    queue: dict[str, int] = field(default_factory=dict)
    """Customers' messages without an outcome, by state."""
    dead_letters: int = 0
    outbox: dict[str, int] = field(default_factory=dict)
    """Rows that are not settled, by state."""


class Backlog(Role):
    """The counts of waiting and dead work. Any task may ask; it is read from indexes alone."""

    @query
    def by_number(self, connection: Connection) -> dict[str, NumberBacklog]:
        """The backlog of each number that has one. Raises StoreUnavailable."""
        found: defaultdict[str, NumberBacklog] = defaultdict(NumberBacklog)
        for number, state, count, oldest in connection.execute(
            "SELECT channel, state, COUNT(*), MIN(CASE from_me WHEN 0 THEN received_at END)"
            f" FROM messages WHERE {UNANSWERED} GROUP BY channel, state"
        ):
            one = found[number]
            one.queue[state] = count
            one.oldest_for_bot = min(filter(None, (one.oldest_for_bot, oldest)), default=0)
        for number, count in connection.execute(
            f"SELECT channel, COUNT(*) FROM messages WHERE state = '{WITH_AGENT}' GROUP BY channel"
        ):
            found[number].queue[WITH_AGENT] = count
        for number, count in connection.execute(
            # Grouped by the column itself, SQLite would rather read all messages by their key.
            "SELECT channel || '' AS number, COUNT(*) FROM messages"
            f" WHERE state = '{DEAD}' GROUP BY channel || ''"
        ):
            found[number].dead_letters = count
        for number, state, count in connection.execute(
            f"SELECT channel, state, COUNT(*) FROM outbox WHERE {OPEN_ROWS} GROUP BY channel, state"
        ):
            found[number].outbox[state] = count
        return dict(found)


LINES_A_START = 2**30
"""Ids that one process may give: with 2^53 exact numbers in JavaScript, enough for 8 million."""

_COLUMNS = (
    "SELECT id, at, kind, level, log_lines.channel, log_lines.chat, turn, symbol, line,"
    " COALESCE(ref, '') FROM log_lines LEFT JOIN chats"
    " ON chats.channel = log_lines.channel AND chats.chat = log_lines.chat"
)


class DashboardLog(Role):
    """The stored lines of the live log, a bounded table. Its tasks write it, any task may read."""

    @transaction
    def start(self, connection: Connection) -> int:
        """Return the first id for the lines of this process; no earlier process has used it."""
        row = connection.execute(
            "INSERT INTO log_starts (number)"
            " SELECT COALESCE(MAX(number), 0) + 1 FROM log_starts WHERE 1 = 1"
            " ON CONFLICT DO NOTHING RETURNING number"
        ).fetchone()
        if row is None:
            raise StoreUnavailable("another node takes the next ids of the log at this moment")
        number: int = row[0]
        connection.execute("DELETE FROM log_starts WHERE number < ?", (number,))
        return number * LINES_A_START

    async def add(self, lines: Sequence[LogLine], *, keep: int) -> None:
        """Store lines and drop the oldest, so that ``keep`` are left.

        A line about a contact who was just forgotten is not stored.
        """
        rows = _rows_of(lines)

        def write(connection: Connection) -> None:
            _insert(connection, rows)
            _drop_oldest(connection, keep)

        await self._database.write(write)

    async def add_in_order(self, lines: Sequence[LogLine], *, keep: int) -> None:
        """Store lines of one of several nodes: their ids are given here, in the order of commits.

        So a reader who asks for what came after an id misses none.
        """
        rows = _rows_of(lines)

        def write(connection: Connection) -> None:
            # Another node waits here until this one has committed.
            connection.execute("UPDATE log_starts SET number = number")
            (last,) = connection.execute("SELECT MAX(id) FROM log_lines").fetchone()
            (start,) = connection.execute("SELECT MAX(number) FROM log_starts").fetchone()
            first = max(last or 0, start * LINES_A_START) + 1
            _insert(connection, [{**row, "id": first + n} for n, row in enumerate(rows)])
            _drop_oldest(connection, keep)

        await self._database.write(write)

    @query
    def last_id(self, connection: Connection) -> int:
        """The id of the newest line; 0 if there is none."""
        (last,) = connection.execute("SELECT MAX(id) FROM log_lines").fetchone()
        return last or 0

    @query
    def lines(self, connection: Connection, wanted: LogQuery) -> list[LogLine]:
        """The lines that were asked for, oldest first."""
        where, values = _conditions(wanted)
        order = "ASC" if wanted.after else "DESC"
        sql = f"{_COLUMNS} WHERE {where} ORDER BY id {order} LIMIT ?"
        rows = connection.execute(sql, (*values, wanted.limit)).fetchall()
        found = [_line(row) for row in rows]
        return found if wanted.after else found[::-1]

    @query
    def chat_names(self, connection: Connection, key: ChatKey) -> tuple[ChatKey, str] | None:
        """The key and the public name of a chat, by any of its ids; None if it is not known.

        Without a number it is looked for among all chats, which takes milliseconds.
        """
        if key.number:
            known = canonical(connection, key)
            row = connection.execute(
                "SELECT channel, chat, ref FROM chats WHERE channel = ? AND chat = ?", known
            ).fetchone()
        else:
            row = connection.execute(
                "SELECT channel, chat, ref FROM chats"
                " WHERE chat IN (SELECT ? UNION ALL SELECT chat FROM aliases WHERE alias = ?)"
                " ORDER BY last_activity_at DESC",
                (key.chat, key.chat),
            ).fetchone()
        return (ChatKey(row[0], row[1]), row[2]) if row else None

    @query
    def chat_of(self, connection: Connection, ref: str) -> str:
        """The WhatsApp id behind a public name; empty if there is no such chat."""
        row = connection.execute(
            "SELECT chat FROM chats WHERE ref = ? AND ref != ''", (ref,)
        ).fetchone()
        return str(row[0]) if row else ""


def _rows_of(lines: Sequence[LogLine]) -> list[JsonObject]:
    return [
        {
            "id": line.id,
            "at": line.at,
            "kind": line.kind,
            "level": line.level,
            "channel": line.key.number if line.key else "",
            "chat": line.key.chat if line.key else "",
            "turn": line.turn,
            "symbol": line.symbol,
            "line": line.line,
        }
        for line in lines
    ]


def _insert(connection: Connection, rows: Sequence[JsonObject]) -> None:
    connection.executemany(
        "INSERT INTO log_lines (id, at, kind, level, channel, chat, turn, symbol, line)"
        " SELECT :id, :at, :kind, :level, :channel, :chat, :turn, :symbol, :line"
        " WHERE :chat = '' OR EXISTS"
        " (SELECT 1 FROM chats WHERE channel = :channel AND chat = :chat)"
        " ON CONFLICT (id) DO NOTHING",
        rows,
    )


def _drop_oldest(connection: Connection, keep: int) -> None:
    connection.execute(
        "DELETE FROM log_lines WHERE id <= "
        "(SELECT id FROM log_lines ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (keep,),
    )


def matches(line: LogLine, query: LogQuery) -> bool:
    """Whether a line matches a query, apart from the limit."""
    exact = (
        (query.ref, line.ref),
        (query.kind, line.kind),
        (query.level, line.level),
        (query.turn, line.turn),
    )
    return (
        all(not wanted or wanted == given for wanted, given in exact)
        and line.id > query.after
        and (not query.before or line.id < query.before)
        and (not query.since or line.at >= query.since)
        and (not query.until or line.at < query.until)
        and query.text.casefold() in line.line.casefold()
    )


def _conditions(query: LogQuery) -> tuple[str, list[object]]:
    """The conditions of a query as SQL, and the values in it."""
    text = escaped(query.text)
    conditions: tuple[tuple[str, object], ...] = (
        ("id > ?", query.after),
        ("id < ?", query.before),
        ("ref = ?", query.ref),
        ("kind = ?", query.kind),
        ("level = ?", query.level),
        ("turn = ?", query.turn),
        ("at >= ?", query.since),
        ("at < ?", query.until),
        ("lower(line) LIKE lower(?) ESCAPE '\\'", f"%{text}%" if text else ""),
    )
    wanted = [(condition, value) for condition, value in conditions if value]
    return " AND ".join(["1 = 1", *(condition for condition, _ in wanted)]), [v for _, v in wanted]


def _line(row: tuple[int, float, str, str, str, str, str, str, str, str]) -> LogLine:
    number, at, kind, level, channel, chat, turn, symbol, line, ref = row
    return LogLine(
        id=number,
        at=at,
        kind=kind,
        level=level,
        key=ChatKey(channel, chat) if chat else None,
        ref=ref,
        turn=turn,
        symbol=symbol,
        line=line,
    )


COUNTERS = {
    "paused": "SELECT COUNT(*) FROM chats WHERE paused_until > 0 AND paused_until > :now",
    "deadLetters": f"SELECT COUNT(*) FROM turns WHERE outcome = '{DEAD}'",
}
"""The query of each counter, by its name in ``/dashboard/stats`` and in the overview's template."""

_read = msgspec.json.Decoder(Sample)
_write = msgspec.json.Encoder()


class Samples(Role):
    """The figures of each minute of the last days. One task adds them, any may read."""

    @transaction
    def add(self, connection: Connection, sample: Sample, *, keep_seconds: float) -> None:
        """Store the figures of a minute and drop those older than ``keep_seconds``."""
        connection.execute(
            "INSERT INTO samples (at, figures) VALUES (?, ?)"
            " ON CONFLICT (at) DO UPDATE SET figures = excluded.figures",
            (sample.at, _write.encode(sample).decode()),
        )
        connection.execute("DELETE FROM samples WHERE at < ?", (sample.at - keep_seconds,))

    @query
    def since(self, connection: Connection, moment: float) -> tuple[Sample, ...]:
        """The figures since a moment (Unix seconds), oldest first."""
        rows = connection.execute(
            "SELECT figures FROM samples WHERE at >= ? ORDER BY at", (moment,)
        )
        return tuple(_read.decode(figures) for (figures,) in rows)

    @query
    def counters(self, connection: Connection, now: float) -> dict[str, int]:
        """The `COUNTERS` at a time (Unix seconds)."""
        return {
            name: connection.execute(sql, {"now": now}).fetchone()[0]
            for name, sql in COUNTERS.items()
        }
