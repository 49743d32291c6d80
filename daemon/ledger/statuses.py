"""Delivery updates: what WhatsApp says of our sends after it took them.

`daemon.domain.transitions.sends` decides what an update does. One for an id that is not known is
kept while a send is under way: its answer may still bring the id. All of it happens inside the
write of the webhook call, or of the send's answer.
"""

import math
from dataclasses import dataclass

from daemon.domain.gateway_prices import PriceList
from daemon.domain.messages import ChatKey, StatusUpdate
from daemon.domain.records import DeliveryUpdate
from daemon.domain.states import (
    ANSWERED,
    DEAD,
    FAILED,
    HANDED_OFF,
    PENDING,
    SENDING,
    SENT,
    UNKNOWN,
    WITH_AGENT,
)
from daemon.domain.transitions.handover import WINDOW_SHUT
from daemon.domain.transitions.sends import (
    RANKS,
    Send,
    Updated,
    after_late_update,
    after_update,
    by_progress,
    moment_of,
    tag_of,
    tagged_row,
)
from daemon.domain.transitions.turns import Part, dies_afterwards
from daemon.ledger import announcements
from daemon.ledger.desk import mark_turn_unread
from daemon.ledger.drivers.port import Connection, listed


@dataclass(frozen=True, slots=True)
class Tariff:
    """What messages cost now, and the day that they are charged to."""

    day: str
    prices: PriceList


EARLY_SECONDS = 24 * 3600.0
MOST_EARLY = 1000
"""How long updates are kept for ids that are not known, and how many."""

NEVER = math.inf
"""As ``resend_since``: what WhatsApp could not deliver is not sent again."""


def note_status(
    connection: Connection,
    channel: str,
    update: StatusUpdate,
    *,
    now: float,
    resend_since: float,
    tariff: Tariff | None = None,
) -> DeliveryUpdate | None:
    """Apply one update; gives what it newly says of a send of ours, if anything.

    ``resend_since``: see `daemon.domain.transitions.sends.after_update`. Without a ``tariff``
    nothing is charged.
    """
    if update.status not in RANKS:
        return None
    row = connection.execute(
        "SELECT id, channel, chat, state, status, created_at, sent_at FROM outbox"
        " WHERE message_id = ?",
        (update.message_id,),
    ).fetchone()
    settled = row is None and _settles(connection, update, now)
    if settled:
        row = connection.execute(
            "SELECT id, channel, chat, state, status, created_at, sent_at FROM outbox"
            " WHERE message_id = ?",
            (update.message_id,),
        ).fetchone()
    if row is None:
        return _after_failure(connection, channel, update, now=now)
    row_id, own_channel, chat, state, status, created_at, sent_at = row
    key, at = ChatKey(own_channel, chat), moment_of(update, now)
    micros = _charge(connection, row_id, key, update, tariff)
    charged_as = update.charged_as if micros is not None else ""
    is_failure = update.status == "failed"
    send = Send(
        state=state,
        status=status,
        created_at=created_at,
        failed_before=is_failure and _has_failed(connection, row_id),
        kept_out=is_failure and _was_paused(connection, key, created_at),
    )
    updated = after_update(send, update, at=at, resend_since=resend_since)
    if updated is None:
        if not charged_as:
            return None
        return DeliveryUpdate(
            key, row_id, update.status, charged_as=charged_as, charged_micros=micros or 0
        )
    if is_failure:
        connection.execute(
            "INSERT INTO send_failures (message_id, outbox_id, error, failed_at)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING",
            (update.message_id, row_id, updated.error, at),
        )
    _store(connection, row_id, update.message_id, updated, before=state, now=now)
    again = updated.state == PENDING
    seconds = max(0.0, at - sent_at) if sent_at and update.status == "delivered" else None
    return DeliveryUpdate(
        key=key,
        row_id=row_id,
        status=update.status,
        error=(updated.error or "") if is_failure else "",
        seconds=seconds,
        again=is_failure and again,
        settled=settled,
        charged_as=charged_as,
        charged_micros=micros or 0,
    )


def _charge(
    connection: Connection,
    row_id: int,
    key: ChatKey,
    update: StatusUpdate,
    tariff: Tariff | None,
) -> int | None:
    """Note once what a message costs, in millionths; None if this update says nothing new of it."""
    if not update.charged_as or tariff is None:
        return None
    micros = tariff.prices.micros(key.chat, update.charged_as)
    noted = connection.execute(
        "UPDATE outbox SET charged_as = ?, charged_micros = ? WHERE id = ? AND charged_as = ''",
        (update.charged_as, micros, row_id),
    )
    if not noted.rowcount:
        return None
    connection.executemany(
        "INSERT INTO usage_days (day, channel, chat, gateway_micros) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET"
        " gateway_micros = usage_days.gateway_micros + excluded.gateway_micros",
        [(tariff.day, key.number, chat, micros) for chat in (key.chat, "") if micros],
    )
    return micros


def _settles(connection: Connection, update: StatusUpdate, now: float) -> bool:
    """Settle the send that an update names by its tag, if its WhatsApp id is not known yet.

    That is so until the answer to the send is there, and afterwards if none came.
    """
    row_id = tagged_row(update.tag)
    if row_id is None:
        return False
    row = connection.execute(
        "SELECT state, message_id, created_at,"
        " EXISTS (SELECT 1 FROM send_failures WHERE message_id = ?) FROM outbox WHERE id = ?",
        (update.message_id, row_id),
    ).fetchone()
    if row is None:
        return False
    state, message_id, created_at, is_earlier_attempt = row
    if message_id or is_earlier_attempt or update.tag != tag_of(row_id, created_at):
        return False
    if state not in {SENDING, UNKNOWN, PENDING, FAILED}:
        return False
    connection.execute(
        "UPDATE outbox SET state = ?, message_id = ?, sent_at = ?, error = '' WHERE id = ?",
        (SENT, update.message_id, now, row_id),
    )
    announcements.message_sent(connection, row_id, now=now)
    if state == FAILED and update.status != "failed":
        reopen(connection, row_id, now=now)
    return True


def claim_early(
    connection: Connection, message_id: str, *, now: float, resend_since: float
) -> tuple[DeliveryUpdate, ...]:
    """Apply what came of a send before its id was known; the outbox has the id now."""
    rows = connection.execute(
        "DELETE FROM early_statuses WHERE message_id = ? RETURNING channel, status, error, at",
        (message_id,),
    ).fetchall()
    channels = {status: channel for channel, status, _, _ in rows}
    updates = by_progress(
        StatusUpdate(message_id=message_id, status=status, error=error, at=at)
        for _, status, error, at in rows
    )
    noted = (
        note_status(connection, channels[update.status], update, now=now, resend_since=resend_since)
        for update in updates
    )
    return tuple(update for update in noted if update is not None)


def mark_dead(connection: Connection, row_id: int, error: str, *, now: float) -> None:
    """Mark the turn of a send dead if it counts as answered and nothing of its answer arrived.

    What only waits for the customer to write again is left to a person.
    """
    turn = connection.execute(
        "SELECT t.id, t.outcome FROM turns t JOIN outbox o ON o.turn_id = t.id WHERE o.id = ?",
        (row_id,),
    ).fetchone()
    if turn is None or not dies_afterwards(turn[1], answer_parts(connection, turn[0])):
        return
    outcome, state = (HANDED_OFF, WITH_AGENT) if error == WINDOW_SHUT else (DEAD, DEAD)
    connection.execute(
        "UPDATE turns SET outcome = ?, reason = ? WHERE id = ?", (outcome, error, turn[0])
    )
    messages = connection.execute(
        "UPDATE messages SET state = ?, reason = ? WHERE turn_id = ? AND state = ? RETURNING seq",
        (state, error, turn[0], ANSWERED),
    ).fetchall()
    if state == WITH_AGENT:
        mark_turn_unread(connection, turn[0], now=now)
    announcements.turn_ended(connection, turn[0], now=now)
    announcements.waiting(connection, [row[0] for row in messages], now=now)


def reopen(connection: Connection, row_id: int, *, now: float) -> None:
    """A part of an answer that was given up counts again: its turn is answered.

    Not if an operator has replayed the turn's messages.
    """
    (turn_id,) = connection.execute("SELECT turn_id FROM outbox WHERE id = ?", (row_id,)).fetchone()
    answered = connection.execute(
        "UPDATE messages SET state = ?, reason = '' WHERE turn_id = ?"
        " AND (state = ? OR (state = ? AND reason = ?))",
        (ANSWERED, turn_id, DEAD, WITH_AGENT, WINDOW_SHUT),
    )
    if answered.rowcount:
        connection.execute(
            "UPDATE turns SET outcome = ?, reason = '' WHERE id = ? AND outcome IN (?, ?)",
            (ANSWERED, turn_id, DEAD, HANDED_OFF),
        )
        announcements.turn_ended(connection, turn_id, now=now)


def answer_parts(connection: Connection, turn_id: int) -> list[Part]:
    """The parts of a turn's answer, without its tools' interim messages."""
    rows = connection.execute(
        "SELECT state, error FROM outbox WHERE turn_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM interim_messages WHERE outbox_id = outbox.id)",
        (turn_id,),
    )
    return [Part(*row) for row in rows]


def _store(
    connection: Connection,
    row_id: int,
    message_id: str,
    updated: Updated,
    *,
    before: str,
    now: float,
) -> None:
    if updated.state != before or updated.error is not None:
        connection.execute(
            "UPDATE outbox SET state = ?, message_id = ?, error = COALESCE(?, error) WHERE id = ?",
            (updated.state, message_id if updated.keeps_id else "", updated.error, row_id),
        )
    connection.execute(
        "UPDATE outbox SET status = ?, delivered_at = COALESCE(delivered_at, ?),"
        " read_at = COALESCE(read_at, ?) WHERE id = ?",
        (updated.status, updated.arrived_at, updated.seen_at, row_id),
    )
    if updated.turn == "reopened":
        reopen(connection, row_id, now=now)
    elif updated.turn == "given up":
        mark_dead(connection, row_id, updated.error or "", now=now)


def _has_failed(connection: Connection, row_id: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM send_failures WHERE outbox_id = ?", (row_id,)
    ).fetchone()
    return row is not None


def _was_paused(connection: Connection, key: ChatKey, since: float) -> bool:
    """True if the bot was kept out of the chat at some time since then."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND paused_until > ?", (*key, since)
    ).fetchone()
    return row is not None


def _after_failure(
    connection: Connection, channel: str, update: StatusUpdate, *, now: float
) -> DeliveryUpdate | None:
    """Apply an update of an id that no send has now: that of a failed attempt, or not known."""
    failed = connection.execute(
        "SELECT o.id, o.channel, o.chat FROM send_failures f JOIN outbox o ON o.id = f.outbox_id"
        " WHERE f.message_id = ? AND o.state = ?",
        (update.message_id, PENDING),
    ).fetchone()
    if failed is None:
        _keep_early(connection, channel, update, now)
        return None
    updated = after_late_update(update, at=moment_of(update, now))
    if updated is None:
        return None
    row_id, own_channel, chat = failed
    _store(connection, row_id, update.message_id, updated, before=PENDING, now=now)
    return DeliveryUpdate(key=ChatKey(own_channel, chat), row_id=row_id, status=update.status)


def _keep_early(connection: Connection, channel: str, update: StatusUpdate, now: float) -> None:
    """Keep an update that may be about a send under way, within bounds.

    Messages of customers and agents have updates too, such as our own reading of them; those
    messages are known.
    """
    is_unclear = connection.execute(
        f"SELECT 1 WHERE EXISTS (SELECT 1 FROM outbox WHERE state IN ({_IN_FLIGHT}))"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE channel = ? AND id = ?)"
        " AND NOT EXISTS (SELECT 1 FROM send_failures WHERE message_id = ?)",
        (channel, update.message_id, update.message_id),
    ).fetchone()
    if is_unclear is None:
        return
    connection.execute(
        "INSERT INTO early_statuses (channel, message_id, status, error, at, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (message_id, status) DO NOTHING",
        (channel, update.message_id, update.status, update.error, update.at, now),
    )
    connection.execute("DELETE FROM early_statuses WHERE received_at < ?", (now - EARLY_SECONDS,))
    surplus = connection.execute(
        "SELECT message_id, status FROM early_statuses ORDER BY received_at DESC LIMIT ? OFFSET ?",
        (MOST_EARLY, MOST_EARLY),
    ).fetchall()
    connection.executemany(
        "DELETE FROM early_statuses WHERE message_id = ? AND status = ?", surplus
    )


_IN_FLIGHT = listed((SENDING, UNKNOWN))
