"""Replay: putting messages back in, for `recado replay` and the dashboard.

A replayed message is `received` again, without a turn; the daemon finds it like any other that
waits. Messages that were answered, or that a person has handled, are never touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daemon.domain.audit_chain import Actor
from daemon.domain.eligibility import Policy
from daemon.domain.eligibility import verdict as judge_message
from daemon.domain.messages import JsonObject, Message, Webhook
from daemon.domain.states import (
    ANSWERED,
    DEAD,
    FAILED,
    FOR_BOT,
    HANDED_OFF,
    RECEIVED,
    STORED,
    WANTED,
    WITH_AGENT,
)
from daemon.ledger.arrivals import take_in
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, marks, named
from daemon.ledger.messages import message_json, read_message, stored_message
from daemon.ledger.references import know

REASON = "replayed"
"""The value of ``messages.reason`` from then on, until the message has another outcome."""

# The age limit counts from the time in the message; the column sent_at keeps that time.
_PUT_BACK = (
    f"UPDATE messages SET state = '{RECEIVED}', turn_id = NULL, received_at = ?, reason = ?,"
    " message = ? WHERE seq = ?"
)
# What could not be fetched or understood then is tried again; what was dropped stays gone.
_FILE_AGAIN = (
    f"UPDATE media SET state = CASE state WHEN '{FAILED}' THEN '{WANTED}' ELSE state END,"
    " reason = '', words_error = '' WHERE (channel, message_id) IN (SELECT channel, id"
    f" FROM messages WHERE seq = ?) AND state IN ('{FAILED}', '{STORED}')"
)
_READ_NOW = (
    "UPDATE messages SET reason = ?, message = ?"
    f" WHERE channel = ? AND id = ? AND state = '{RECEIVED}' AND reason = ''"
)

_ENDED_WELL = frozenset({ANSWERED, HANDED_OFF})
_WITH_AGENT = "it waits for a person: answer it, give its chat back to the bot, or mark it as done"

_ROW = (
    "SELECT m.seq, m.id, m.message, m.received_at, m.state, m.reason, m.from_me, m.deleted_at,"
    " m.chat, t.request_id FROM messages m LEFT JOIN turns t ON t.id = m.turn_id"
)

Policies = Callable[[str], Policy]
"""Which messages are answered, by the name of our number."""

Verdict = Callable[[Message], str]
"""Why a message is not to be answered; empty if it is."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result for one message; ``chat`` and ``message_id`` are not masked."""

    message_id: str
    chat: str
    done: bool
    what: str
    """Was it put back, and if not, why not."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One webhook call as it lies in the store; ``body`` is None if it is not kept any more."""

    id: int
    number: str
    """Our number that it is about, as in `ChatKey`."""
    event: str
    body: bytes | None
    unreadable: bool


def _judge_of(connection: Connection, policies: Policies, *, now: float) -> Verdict:
    """A function that judges a message as the daemon would, by what the ledger knows of it."""

    def judge(message: Message) -> str:
        policy = policies(message.key.number)
        (known,) = know(connection, [message], own_ids=policy.own_ids, now=now)
        return judge_message(known, policy)

    return judge


def stored_event(connection: Connection, event_id: int, folder: Path) -> StoredEvent | None:
    """Read one event with its body, from the row or its file in ``folder``; None if unknown."""
    row = connection.execute(
        "SELECT id, channel, event, body, body_file, unreadable FROM events WHERE id = ?",
        (event_id,),
    ).fetchone()
    if row is None:
        return None
    row_id, number, name, body, body_file, unreadable = row
    if body_file:
        try:
            body = (folder / body_file).read_bytes()
        except FileNotFoundError:
            body = None
    return StoredEvent(row_id, number, name, body, bool(unreadable))


def replay_event(
    connection: Connection,
    event: StoredEvent,
    webhook: Webhook | None,
    policies: Policies,
    *,
    by: Actor,
    now: float,
) -> list[Replayed]:
    """Put back the messages of one event, and store what could not be read then.

    ``webhook`` is the event read again, None where it cannot be. Inside the caller's transaction.
    """
    verdict = _judge_of(connection, policies, now=now)
    rows = _rows(connection, "m.event_id = ?", (event.id,))
    replayed = [_put_back(connection, row, verdict=verdict, by=by, now=now) for row in rows]
    if webhook is not None:
        replayed += _bring_in(connection, event, webhook, verdict=verdict, by=by, now=now)
    return replayed


def replay_dead(
    connection: Connection,
    chats: Sequence[str],
    policies: Policies,
    *,
    number: str = "",
    by: Actor,
    now: float,
) -> list[Replayed]:
    """Put back all dead messages, or those of some chats, or of a number.

    Inside the caller's transaction.
    """
    verdict = _judge_of(connection, policies, now=now)
    only = f" AND m.chat IN ({marks(chats)})" if chats else ""
    where = f"m.state = '{DEAD}' AND (? = '' OR m.channel = ?){only}"
    rows = _rows(connection, where, (number, number, *chats))
    return [_put_back(connection, row, verdict=verdict, by=by, now=now) for row in rows]


def _rows(connection: Connection, where: str, values: Sequence[object]) -> list[JsonObject]:
    return named(connection.execute(f"{_ROW} WHERE {where} ORDER BY m.seq", values))


def _put_back(
    connection: Connection, row: JsonObject, *, verdict: Verdict, by: Actor, now: float
) -> Replayed:
    obstacle = _obstacle(row, verdict)
    if obstacle:
        return Replayed(row["id"], row["chat"], done=False, what=obstacle)
    message = _without_time(read_message.decode(row["message"]))
    connection.execute(_PUT_BACK, (now, REASON, message, row["seq"]))
    connection.execute(_FILE_AGAIN, (row["seq"],))
    reason = f" ({row['reason']})" if row["reason"] else ""
    turn = f", {row['request_id']}" if row["request_id"] else ""
    was = f"was {row['state']}{reason}{turn}"
    write_audit(connection, by, "replay", row["id"], before=was, now=now)
    return Replayed(row["id"], row["chat"], done=True, what=was)


def _obstacle(row: JsonObject, verdict: Verdict) -> str:
    """Why a message is left as it is; empty if it may be put back."""
    if row["from_me"]:
        return "it left our own number"
    if row["state"] in _ENDED_WELL:
        return "it was answered" if row["state"] == ANSWERED else "a person has handled it"
    if row["state"] in FOR_BOT:
        return "it is waiting for its answer"
    if row["state"] == WITH_AGENT:
        return _WITH_AGENT
    if row["deleted_at"] is not None:
        return "its author deleted it"
    still = verdict(stored_message(row["seq"], row["message"], row["received_at"]).message)
    return f"it is not one to answer: {still}" if still else ""


def _bring_in(
    connection: Connection,
    event: StoredEvent,
    webhook: Webhook,
    *,
    verdict: Verdict,
    by: Actor,
    now: float,
) -> list[Replayed]:
    """Store the messages of an event that are not in the table; its changes if it was unreadable.

    An agent's words pause and close nothing: it is too late for that.
    """
    new = tuple(message for message in webhook.messages if not _is_known(connection, message))
    missing = Webhook(channel=webhook.channel, event=webhook.event, messages=new)
    if event.unreadable:
        missing = Webhook(
            channel=webhook.channel,
            event=webhook.event,
            messages=new,
            edits=webhook.edits,
            deletions=webhook.deletions,
        )
    verdicts = [verdict(message) for message in new]
    take_in(
        connection,
        missing,
        event.id,
        verdicts=verdicts,
        now=now,
        pause_until=0,
        agents_close=False,
    )
    replayed = []
    for message, ignored in zip(new, verdicts, strict=True):
        (stored,) = connection.execute(
            "SELECT message FROM messages WHERE channel = ? AND id = ?",
            (message.key.number, message.id),
        ).fetchone()
        text = _without_time(read_message.decode(stored))
        connection.execute(_READ_NOW, (REASON, text, message.key.number, message.id))
        what = f"read now, and ignored: {ignored}" if ignored else "read now for the first time"
        write_audit(
            connection, by, "replay", message.id, after=f"{what}, event {event.id}", now=now
        )
        replayed.append(Replayed(message.id, message.key.chat, done=not ignored, what=what))
    return replayed


def _without_time(message: Message) -> str:
    """A message as a row has it, without the time by which it would be too old to answer."""
    return message_json.encode(msgspec.structs.replace(message, sent_at=0)).decode()


def _is_known(connection: Connection, message: Message) -> bool:
    row = connection.execute(
        "SELECT 1 FROM messages WHERE channel = ? AND id = ?", (message.key.number, message.id)
    ).fetchone()
    return row is not None
