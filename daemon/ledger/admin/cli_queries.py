"""Reads and writes of single commands: `recado send`, `budget`, `unanswered`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart
from daemon.domain.states import ANSWERED, DEAD, HANDED_OFF, RECEIVED
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, marks
from daemon.ledger.handover import waiting_chats
from daemon.ledger.messages import UNANSWERED
from daemon.ledger.outbox import queue_part
from daemon.ledger.threads import append
from daemon.ledger.usage import COUNTED


@dataclass(frozen=True, slots=True)
class Sending:
    """The state of one outbox row."""

    state: str
    message_id: str
    error: str


def numbers_of_chat(connection: Connection, chat: str) -> list[str]:
    """Our numbers that know a chat, the one where it was last active first."""
    rows = connection.execute(
        "SELECT channel FROM chats WHERE chat = ? OR (channel, chat) IN"
        " (SELECT channel, chat FROM aliases WHERE alias = ?)"
        " GROUP BY channel ORDER BY MAX(last_activity_at) DESC",
        (chat, chat),
    )
    return [str(row[0]) for row in rows]


def queue_message(
    connection: Connection, key: ChatKey, part: NewPart, *, by: Actor, now: float
) -> int:
    """Put one message into the outbox and the thread, inside the caller's transaction.

    Gives the outbox row's id. The thread has it as ours, so that the model knows what the
    customer answers. ``now``: Unix seconds.
    """
    row_id = queue_part(connection, key, None, part, now=now)
    append(connection, key, None, [{"role": "assistant", "content": part.body}], now=now)
    write_audit(connection, by, "send", key.chat, after=f"outbox row {row_id}", now=now)
    return row_id


def sending_of(connection: Connection, row_id: int) -> Sending:
    """Look at one outbox row."""
    row = connection.execute(
        "SELECT state, message_id, error FROM outbox WHERE id = ?", (row_id,)
    ).fetchone()
    return Sending(*row)


@dataclass(frozen=True, slots=True)
class Spending:
    """The usage of one chat in a day; an empty chat stands for all. Cost in millionths."""

    channel: str
    chat: str
    tokens: int
    micros: int
    gateway_micros: int
    """What the gateway charged for messages; it counts for no limit."""
    counted_tokens: int
    counted_micros: int
    """The part that counts for the chat's limits: all, unless an operator has reset it."""
    notified: int
    """1 if a call was refused because the budget was spent."""


def newest_days(connection: Connection) -> dict[str, str]:
    """The last day of each number on which anything was used up."""
    rows = connection.execute("SELECT channel, MAX(day) FROM usage_days GROUP BY channel")
    return dict(rows.fetchall())


def spending_of(connection: Connection, days: Mapping[str, str]) -> tuple[Spending, ...]:
    """The usage of a day: the total first, then the chats, the greatest use first."""
    found: list[Spending] = []
    for number, day in days.items():
        rows = connection.execute(
            f"SELECT channel, chat, tokens, micros, gateway_micros, {COUNTED}, notified"
            " FROM usage_days WHERE channel = ? AND day = ?",
            (number, day),
        )
        found += [Spending(*row) for row in rows]
    found.sort(key=lambda one: (one.chat != "", -one.micros, -one.tokens, one.chat))
    return tuple(found)


def pardon(
    connection: Connection,
    days: Mapping[str, str],
    names: Sequence[str],
    *,
    by: Actor,
    now: float,
) -> tuple[str, ...]:
    """Let a person begin the day of each number again, inside the caller's transaction.

    Gives the days on which something was reset. ``names``: the person's chat ids. What was used up
    stays in the total of the day.
    """
    reset = {
        day: None
        for number, day in days.items()
        if connection.execute(
            "UPDATE usage_days SET pardoned_tokens = tokens, pardoned_micros = micros, notified = 0"
            f" WHERE channel = ? AND day = ? AND chat IN ({marks(names)})",
            (number, day, *names),
        ).rowcount
    }
    for day in reset:
        write_audit(connection, by, "budget reset", names[0], after=f"new on {day}", now=now)
    return tuple(reset)


WaitsFor = Literal["bot", "person", "operator"]
"""``operator``: no answer was possible, or it could not be delivered; the bot tries no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """One chat with unanswered messages or an open escalation. Times are Unix seconds."""

    number: str
    """Our number, as in `ChatKey`."""
    chat: str
    waits_for: WaitsFor
    since: float
    """When the oldest of its messages came."""
    messages: int
    """How many they are; 0 if the model has asked for a person and nothing was written since."""
    why: str
    """Of the oldest: why it waits for a person, or its state and how often its turn has begun."""
    message_id: str
    """Of the oldest; empty if there is none."""


def unanswered(connection: Connection) -> list[Unanswered]:
    """All chats with a waiting customer, the longest wait first.

    A chat is listed twice if some of its messages wait for a person and later ones for the bot.
    """
    found = [*_for_a_person(connection), *_for_the_bot(connection), *_given_up(connection)]
    return sorted(found, key=lambda chat: chat.since)


def _for_a_person(connection: Connection) -> list[Unanswered]:
    return [
        Unanswered(
            number=waiting.key.number,
            chat=waiting.key.chat,
            waits_for="person",
            since=waiting.since,
            messages=waiting.messages,
            why=waiting.reason,
            message_id=waiting.message_id,
        )
        for waiting in waiting_chats(connection)
    ]


def _for_the_bot(connection: Connection) -> list[Unanswered]:
    rows = connection.execute(
        "SELECT m.channel, m.chat, m.received_at, m.id, m.state, COALESCE(t.attempts, 0)"
        " FROM messages m LEFT JOIN turns t ON t.id = m.turn_id WHERE m.from_me = 0"
        f" AND m.{UNANSWERED} ORDER BY m.received_at, m.seq"
    )

    def why(state: str, attempts: int) -> str:
        return f"{state}, {attempts} attempt{'' if attempts == 1 else 's'}"

    return _by_chat(rows, waits_for="bot", why=why)


def _given_up(connection: Connection) -> list[Unanswered]:
    """Messages without an answer that arrived, in chats without a later message of ours."""
    rows = connection.execute(
        "SELECT m.channel, m.chat, m.received_at, m.id, m.reason, CASE WHEN EXISTS (SELECT 1"
        " FROM send_failures f JOIN outbox o ON o.id = f.outbox_id WHERE o.turn_id = m.turn_id)"
        f" THEN 1 ELSE 0 END FROM messages m WHERE m.from_me = 0 AND m.state = '{DEAD}'"
        " AND NOT EXISTS (SELECT 1 FROM turns t"
        " WHERE t.channel || '/' || t.chat = m.channel || '/' || m.chat AND t.id > m.turn_id"
        f" AND t.outcome IN ('{ANSWERED}', '{HANDED_OFF}')) AND NOT EXISTS (SELECT 1"
        " FROM messages a WHERE a.channel || '/' || a.chat = m.channel || '/' || m.chat"
        f" AND a.seq > m.seq AND a.from_me = 1 AND (a.state = '{RECEIVED}' OR a.reason = 'agent'))"
        " ORDER BY m.received_at, m.seq"
    )

    def why(reason: str, undelivered: int) -> str:
        return f"dead, {'its answer could not be delivered' if undelivered else reason}"

    return _by_chat(rows, waits_for="operator", why=why)


def _by_chat(
    rows: Iterable[tuple[Any, ...]], *, waits_for: WaitsFor, why: Callable[[Any, Any], str]
) -> list[Unanswered]:
    """One entry a chat of messages that are given oldest first; ``why`` is about its oldest."""
    found: dict[ChatKey, Unanswered] = {}
    for channel, chat, since, message_id, *reasons in rows:
        first = found.get(ChatKey(channel, chat)) or Unanswered(
            number=channel,
            chat=chat,
            waits_for=waits_for,
            since=since,
            messages=0,
            why=why(*reasons),
            message_id=message_id,
        )
        found[ChatKey(channel, chat)] = replace(first, messages=first.messages + 1)
    return list(found.values())
