"""The work of all chats: unsettled sends, failures, the cost of the day."""

from collections.abc import Iterable, Mapping

from daemon.domain.ids import is_group
from daemon.domain.knowledge.ranking import grouped
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import DEAD, EXPIRED, FAILED, RUNNING, STARTED, UNSETTLED
from daemon.ledger.drivers.port import Connection, keyed, marks
from daemon.ledger.knowledge import questions_of
from daemon.ledger.outbox import OPEN_ROWS
from daemon.ledger.people import REMEMBERED
from daemon.ledger.usage import COUNTED

# Ordered by the column ``id`` itself, SQLite would rather read the whole table by it than the index
# of the few rows that are wanted: thus ``id + 0``.

SHOWN = 100
"""Rows of each list that are shown; the counts say how many there are."""

QUESTIONS_SHOWN = 300
"""The newest of those without an answer, before they are put together."""


def outbox_counts(connection: Connection) -> JsonObject:
    """Messages of ours by state, of those that are not settled or were refused for good."""
    counts = dict.fromkeys((*UNSETTLED, FAILED), 0)
    open_rows = connection.execute(
        f"SELECT state, COUNT(*) FROM outbox WHERE {OPEN_ROWS} GROUP BY state"
    )
    counts.update(dict(open_rows.fetchall()))
    failed = connection.execute(f"SELECT COUNT(*) FROM outbox WHERE state = '{FAILED}'")
    return {**counts, FAILED: failed.fetchone()[0]}


def open_sends(connection: Connection) -> list[JsonObject]:
    """Unsent messages, the oldest first."""
    return keyed(
        connection.execute(
            "SELECT id, channel, chat, kind, state, attempts, error, created_at AS at FROM outbox"
            f" WHERE {OPEN_ROWS} ORDER BY id + 0 LIMIT ?",
            (SHOWN,),
        )
    )


def dead_turns(connection: Connection) -> list[JsonObject]:
    """Turns that were given up, the newest first; ``waiting`` of their messages can be replayed."""
    return keyed(
        connection.execute(
            "SELECT t.channel, t.chat, t.request_id AS turn, t.reason, t.attempts,"
            " COALESCE(t.closed_at, t.opened_at) AS at, (SELECT COUNT(*) FROM messages m"
            f" WHERE m.turn_id = t.id AND m.state = '{DEAD}') AS messages FROM turns t"
            f" WHERE t.outcome = '{DEAD}' AND t.{REMEMBERED} ORDER BY t.id + 0 DESC LIMIT ?",
            (SHOWN,),
        )
    )


def doubtful_turns(connection: Connection, since: float) -> list[JsonObject]:
    """Answers sent since a time (Unix seconds) although a validator doubted them, newest first."""
    return keyed(
        connection.execute(
            "SELECT channel, chat, request_id AS turn, doubt AS reason, concluded_at AS at"
            f" FROM turns WHERE doubt != '' AND concluded_at >= ? AND {REMEMBERED}"
            " ORDER BY id DESC LIMIT ?",
            (since, SHOWN),
        )
    )


def failed_sends(connection: Connection) -> list[JsonObject]:
    """Messages of ours that were refused for good, the newest first."""
    return keyed(
        connection.execute(
            "SELECT o.id, o.channel, o.chat, o.kind, o.error AS reason, o.attempts,"
            " COALESCE(o.attempted_at, o.created_at) AS at, COALESCE(t.request_id, '') AS turn"
            f" FROM outbox o LEFT JOIN turns t ON t.id = o.turn_id WHERE o.state = '{FAILED}'"
            f" AND o.{REMEMBERED} ORDER BY o.id + 0 DESC LIMIT ?",
            (SHOWN,),
        )
    )


def unreadable_events(connection: Connection) -> list[JsonObject]:
    """The last webhook calls of which a part could not be read."""
    rows = connection.execute(
        "SELECT id, received_at, event, unreadable,"
        " CASE WHEN body IS NOT NULL OR body_file != '' THEN 1 ELSE 0 END FROM events"
        " WHERE unreadable != '' ORDER BY id DESC LIMIT ?",
        (SHOWN,),
    )
    return [
        {"id": number, "at": at, "event": event, "reason": unreadable, "kept": bool(kept)}
        for number, at, event, unreadable, kept in rows
    ]


def questions(connection: Connection) -> list[JsonObject]:
    """What customers asked lately and the documents do not answer, the most frequent first."""
    groups = grouped(questions_of(connection, most=QUESTIONS_SHOWN))
    return [group.shown() for group in groups[:SHOWN]]


def expired_since(connection: Connection, since: float) -> int:
    """The number of turns that ended as too old since a time (Unix seconds)."""
    row = connection.execute(
        f"SELECT COUNT(*) FROM turns WHERE outcome = '{EXPIRED}' AND closed_at >= ?",
        (since,),
    ).fetchone()
    return int(row[0])


def spending(connection: Connection, days: Mapping[str, str], *, limit: int = 10) -> JsonObject:
    """The usage of a day in all, and of the chats that used most. Cost in millionths.

    ``days``: by number, since each has its own time zone.
    """
    totals = {}
    rows = []
    for day in sorted(set(days.values())):
        numbers = [number for number, its_day in days.items() if its_day == day]
        found = connection.execute(
            "SELECT channel, tokens, micros, gateway_micros, notified FROM usage_days"
            " WHERE day = ? AND chat = ''"
            f" AND channel IN ({marks(numbers)})",
            (day, *numbers),
        )
        for number, tokens, micros, gateway_micros, spent in found:
            totals[number] = {
                "tokens": tokens,
                "micros": micros,
                "gateway_micros": gateway_micros,
                "spent": bool(spent),
            }
        rows += connection.execute(
            f"SELECT channel, chat, tokens, micros, gateway_micros, {COUNTED}, notified"
            " FROM usage_days WHERE day = ?"
            f" AND chat != '' AND channel IN ({marks(numbers)})"
            " ORDER BY micros + gateway_micros DESC, tokens DESC, chat LIMIT ?",
            (day, *numbers, limit),
        ).fetchall()
    names = ("tokens", "micros", "gateway_micros", "counted_tokens", "counted_micros")
    chats: list[JsonObject] = [
        {
            "key": ChatKey(channel, chat),
            **dict(zip(names, used, strict=True)),
            "spent": bool(spent),
        }
        for channel, chat, *used, spent in rows
    ]
    chats.sort(
        key=lambda one: (
            -one["micros"] - one["gateway_micros"],
            -one["tokens"],
            one["key"].chat,
        )
    )
    return {"totals": totals, "chats": chats[:limit]}


def costs_of(connection: Connection, key: ChatKey) -> JsonObject:
    """What a conversation has cost on all its days, in millionths: the model, and the gateway."""
    model, gateway = connection.execute(
        "SELECT COALESCE(SUM(micros), 0), COALESCE(SUM(gateway_micros), 0) FROM usage_days"
        " WHERE channel = ? AND chat = ?",
        key,
    ).fetchone()
    return {"model": model, "gateway": gateway}


def running(connection: Connection) -> dict[ChatKey, JsonObject]:
    """The runs under way: since when, in which round, and which tools are at work."""
    rows = connection.execute(
        "SELECT t.channel, t.chat, t.request_id, r.started_at, t.attempts,"
        " (SELECT MAX(round) FROM responses WHERE run_id = r.id), r.id"
        f" FROM runs r JOIN turns t ON t.id = r.turn_id WHERE r.state = '{RUNNING}'"
    ).fetchall()
    return {
        ChatKey(channel, chat): {
            "turn": turn,
            "began_at": began_at,
            "attempts": attempts,
            "round": (number or 0) + 1,
            "tools": _tools_at_work(connection, run_id),
        }
        for channel, chat, turn, began_at, attempts, number, run_id in rows
    }


def _tools_at_work(connection: Connection, run_id: int) -> str:
    rows = connection.execute(
        "SELECT tool FROM tool_calls WHERE run_id = ? AND state = ? ORDER BY id", (run_id, STARTED)
    )
    return ", ".join(tool for (tool,) in rows)


def people(connection: Connection, keys: Iterable[ChatKey]) -> dict[ChatKey, JsonObject]:
    """The names of some chats (empty if unknown), and their public names."""
    found = {}
    for key in keys:
        row = connection.execute(
            "SELECT name, contact_name, ref FROM chats WHERE channel = ? AND chat = ?", key
        ).fetchone()
        if row:
            name, contact_name, ref = row
            called = name if is_group(key.chat) else contact_name or name
            found[key] = {"name": called, "ref": ref}
    return found
