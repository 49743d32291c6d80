"""What WhatsApp tells of our sends after it took them: delivered, read, played, failed.

Statuses come in any order, more than once, and now and then before the answer that gives the send
its id. So a status only ever raises what is known of a send, in the order of `RANKS`, and one for
an id that is not known yet is kept while a send is under way. All of it happens inside the write
of the webhook call, or of the send's own answer.
"""

import math

from daemon.domain.messages import ChatKey, StatusUpdate
from daemon.domain.records import DeliveryUpdate
from daemon.ledger.drivers.port import Connection

RANKS = {"failed": 0, "pending": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5}
"""How far a message has come (the order is that of WhatsApp's own codes)."""

ARRIVED = RANKS["delivered"]

EARLY_SECONDS = 24 * 3600.0
MOST_EARLY = 1000
"""Statuses kept for ids that are not known: so long, and so many."""

NEVER = math.inf
"""As `resend_since`: nothing that WhatsApp could not deliver is said again."""

RESENT_ALWAYS = 0.0
"""As `resend_since`: everything is, once, however old it is."""


def note_status(
    connection: Connection,
    channel: str,
    update: StatusUpdate,
    *,
    now: float,
    resend_since: float,
) -> DeliveryUpdate | None:
    """Take in one status, inside the caller's transaction; what it newly says of a send of ours.

    None where it says nothing new, or is about somebody else's message. A send that has failed
    becomes ``pending`` again, once, if it was created at ``resend_since`` or later (Unix seconds)
    and no agent has taken its chat over since; else it ends as ``failed``.
    """
    if update.status not in RANKS:
        return None
    row = connection.execute(
        "SELECT id, channel, chat, status, created_at, sent_at FROM outbox WHERE message_id = ?",
        (update.message_id,),
    ).fetchone()
    if row is None:
        return _after_failure(connection, channel, update, now=now)
    row_id, own_channel, chat, status, created_at, sent_at = row
    known = RANKS.get(status, -1)
    key = ChatKey(own_channel, chat)
    if update.status == "failed":
        if known >= ARRIVED or status == "failed":
            return None  # what has arrived cannot fail any more
        return _fail(
            connection, key, row_id, update, now=now, created_at=created_at, since=resend_since
        )
    if RANKS[update.status] <= known:
        return None
    at = _moment(update, now)
    _raise(connection, row_id, update.status, at)
    if status == "failed" and RANKS[update.status] >= ARRIVED:
        connection.execute("UPDATE outbox SET state = 'sent', error = '' WHERE id = ?", (row_id,))
        reopen(connection, row_id)
    seconds = max(0.0, at - sent_at) if sent_at and update.status == "delivered" else None
    return DeliveryUpdate(key=key, row_id=row_id, status=update.status, seconds=seconds)


def claim_early(
    connection: Connection, message_id: str, *, now: float, resend_since: float
) -> tuple[DeliveryUpdate, ...]:
    """Take in what was told of a send before its id was known; the outbox has the id now."""
    rows = connection.execute(
        "DELETE FROM early_statuses WHERE message_id = ? RETURNING channel, status, error, at",
        (message_id,),
    ).fetchall()
    delivery_updates = []
    # The furthest first: what has arrived cannot fail any more.
    for channel, status, error, at in sorted(rows, key=lambda row: -RANKS[row[1]]):
        update = StatusUpdate(message_id=message_id, status=status, error=error, at=at)
        fate = note_status(connection, channel, update, now=now, resend_since=resend_since)
        if fate is not None:
            delivery_updates.append(fate)
    return tuple(delivery_updates)


def _raise(connection: Connection, row_id: int, status: str, at: float) -> None:
    """Record how far a send has come; what was read was delivered, if nobody said when."""
    arrived = at if RANKS[status] >= ARRIVED else None
    seen = at if RANKS[status] > ARRIVED else None
    connection.execute(
        "UPDATE outbox SET status = ?, delivered_at = COALESCE(delivered_at, ?),"
        " read_at = COALESCE(read_at, ?) WHERE id = ?",
        (status, arrived, seen, row_id),
    )


def _fail(
    connection: Connection,
    key: ChatKey,
    row_id: int,
    update: StatusUpdate,
    *,
    now: float,
    created_at: float,
    since: float,
) -> DeliveryUpdate:
    """Say a failed send once more, or give it up; then its turn may have no answer."""
    error = update.error or "WhatsApp could not deliver it"
    tried = connection.execute(
        "SELECT 1 FROM send_failures WHERE outbox_id = ?", (row_id,)
    ).fetchone()
    connection.execute(
        "INSERT OR IGNORE INTO send_failures (message_id, outbox_id, error, failed_at)"
        " VALUES (?, ?, ?, ?)",
        (update.message_id, row_id, error, _moment(update, now)),
    )
    again = tried is None and created_at >= since and not _agent_since(connection, key, created_at)
    if again:
        connection.execute(
            "UPDATE outbox SET state = 'pending', message_id = '', status = '', error = ?"
            " WHERE id = ?",
            (error, row_id),
        )
    else:
        connection.execute(
            "UPDATE outbox SET state = 'failed', status = 'failed', error = ? WHERE id = ?",
            (error, row_id),
        )
        mark_dead(connection, row_id, error)
    return DeliveryUpdate(key=key, row_id=row_id, status="failed", error=error, again=again)


def _agent_since(connection: Connection, key: ChatKey, created_at: float) -> bool:
    """True if the bot was kept out of the chat at some time since then."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND paused_until > ?",
        (*key, created_at),
    ).fetchone()
    return row is not None


def mark_dead(connection: Connection, row_id: int, error: str) -> None:
    """A turn that counts as answered, of whose answer nothing has arrived, is dead after all.

    So it is found by whoever looks for messages without an answer, and can be replayed.
    """
    row = connection.execute(
        "SELECT t.id FROM turns t JOIN outbox o ON o.turn_id = t.id WHERE o.id = ?"
        " AND t.outcome = 'answered' AND NOT EXISTS (SELECT 1 FROM outbox said"
        " WHERE said.turn_id = t.id AND said.state NOT IN ('failed', 'dropped')"
        " AND said.id NOT IN (SELECT outbox_id FROM interim_messages))",
        (row_id,),
    ).fetchone()
    if row is None:
        return
    connection.execute(
        "UPDATE turns SET outcome = 'dead', reason = ? WHERE id = ?", (error, row[0])
    )
    connection.execute(
        "UPDATE messages SET state = 'dead', reason = ? WHERE turn_id = ? AND state = 'answered'",
        (error, row[0]),
    )


def reopen(connection: Connection, row_id: int) -> None:
    """A part of an answer that was given up counts again: its turn is answered.

    Unless somebody has put the turn's messages back in. Inside the caller's transaction, as is
    `mark_dead`.
    """
    turn = "(SELECT turn_id FROM outbox WHERE id = ?)"
    left = connection.execute(
        f"UPDATE messages SET state = 'answered', reason = '' WHERE turn_id = {turn}"  # noqa: S608 - a constant
        " AND state = 'dead'",
        (row_id,),
    )
    if left.rowcount:
        connection.execute(
            f"UPDATE turns SET outcome = 'answered', reason = '' WHERE id = {turn}"  # noqa: S608 - a constant
            " AND outcome = 'dead'",
            (row_id,),
        )


def _after_failure(
    connection: Connection, channel: str, update: StatusUpdate, *, now: float
) -> DeliveryUpdate | None:
    """Take in the status of an id that is no send's now: an attempt that failed, or unknown."""
    failed = connection.execute(
        "SELECT o.id, o.channel, o.chat FROM send_failures f JOIN outbox o ON o.id = f.outbox_id"
        " WHERE f.message_id = ? AND o.state = 'pending'",
        (update.message_id,),
    ).fetchone()
    if failed is None:
        _keep_early(connection, channel, update, now)
        return None
    if RANKS[update.status] < ARRIVED:
        return None
    # It has arrived after all, and has not been said again yet.
    row_id, own_channel, chat = failed
    at = _moment(update, now)
    connection.execute(
        "UPDATE outbox SET state = 'sent', message_id = ?, error = '' WHERE id = ?",
        (update.message_id, row_id),
    )
    _raise(connection, row_id, update.status, at)
    return DeliveryUpdate(key=ChatKey(own_channel, chat), row_id=row_id, status=update.status)


def _keep_early(connection: Connection, channel: str, update: StatusUpdate, now: float) -> None:
    """Keep a status that may be about a send under way, within bounds.

    Statuses of what customers and agents wrote, such as our own reading of it, are about messages
    that are known.
    """
    unclear = connection.execute(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM outbox WHERE state IN ('sending', 'unknown'))"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE channel = ? AND id = ?)"
        " AND NOT EXISTS (SELECT 1 FROM send_failures WHERE message_id = ?)",
        (channel, update.message_id, update.message_id),
    ).fetchone()
    if unclear is None:
        return
    connection.execute(
        "INSERT OR IGNORE INTO early_statuses (channel, message_id, status, error, at, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (channel, update.message_id, update.status, update.error, update.at, now),
    )
    connection.execute(
        "DELETE FROM early_statuses WHERE received_at < ? OR (message_id, status) IN (SELECT"
        " message_id, status FROM early_statuses ORDER BY received_at DESC LIMIT -1 OFFSET ?)",
        (now - EARLY_SECONDS, MOST_EARLY),
    )


def _moment(update: StatusUpdate, now: float) -> float:
    """When it was so: by WhatsApp's clock, unless that says nothing or lies ahead of ours."""
    return min(update.at, now) if update.at else now
