"""The outbox: messages to be sent, being sent, and sent.

A row is `pending` until its send begins, `sending` while the request is under way, then `sent`, or
`unknown` if its outcome is not known. Its echo or a look at the chat settles an unknown
one; only then it is sent again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from daemon.domain.announcements import ChatEscalated
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.records import DeliveryUpdate, NewPart, OutboxRow, Turn, TurnEnd
from daemon.domain.rendering.outgoing import Likeness, likeness
from daemon.domain.states import (
    DROPPED,
    FAILED,
    PENDING,
    SENDING,
    SENT,
    UNKNOWN,
    UNSETTLED,
    WITH_AGENT,
)
from daemon.domain.transitions.handover import WINDOW_SHUT, seen_to
from daemon.ledger import announcements
from daemon.ledger.desk import mark_unread
from daemon.ledger.drivers.port import Connection, Role, listed, query, reading, transaction
from daemon.ledger.handover import change_hold
from daemon.ledger.people import has_opted_out
from daemon.ledger.statuses import NEVER, claim_early, mark_dead, reopen
from daemon.ledger.turn_outcome import finish_turn

_COLUMNS = (
    "id, channel, chat, turn_id, body, quoted, state, attempts, created_at, attempted_at, kind,"
    " payload, author"
)
_ROW = f"SELECT {_COLUMNS} FROM outbox"
OPEN_ROWS = f"state IN ({listed(UNSETTLED)})"
"""The condition of rows that are still to be sent or settled: that of the index ``outbox_open``."""

_QUEUE = (
    "INSERT INTO outbox (channel, chat, turn_id, body, quoted, kind, payload, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_json = msgspec.json.Encoder()
read_payload = msgspec.json.Decoder(JsonObject)


class SettledSend(NamedTuple):
    """The result of a send."""

    row: OutboxRow
    delivery_updates: tuple[DeliveryUpdate, ...]
    """Updates that came before its id was known."""
    end: TurnEnd | None
    """The end of the turn that it finished."""


def open_rows(connection: Connection, key: ChatKey) -> tuple[OutboxRow, ...]:
    """The unsent messages of a chat, in order."""
    rows = connection.execute(
        f"{_ROW} WHERE channel = ? AND chat = ? AND {OPEN_ROWS} ORDER BY id",
        key,
    )
    return tuple(_row(row) for row in rows)


def _known_row(connection: Connection, row_id: int) -> OutboxRow:
    """One row as it is now."""
    return _row(connection.execute(f"{_ROW} WHERE id = ?", (row_id,)).fetchone())


def _paused_until(connection: Connection, key: ChatKey) -> float:
    """Until when a chat is paused, Unix seconds; 0 if it never was."""
    row = connection.execute(
        "SELECT paused_until FROM chats WHERE channel = ? AND chat = ?", key
    ).fetchone()
    return float(row[0]) if row else 0.0


class Outbox(Role):
    """Outgoing messages. Only the task of a row's chat sends it; any task may read."""

    open_rows = reading(open_rows)

    row = reading(_known_row)

    @query
    def chats_with_work(self, connection: Connection) -> tuple[ChatKey, ...]:
        """The chats with unsent messages."""
        rows = connection.execute(f"SELECT DISTINCT channel, chat FROM outbox WHERE {OPEN_ROWS}")
        return tuple(ChatKey(*row) for row in rows)

    @transaction
    def repair(self, connection: Connection, number: str = "") -> int:
        """After a crash: a send that was under way has an unknown outcome. Gives how many.

        ``number``: only its own, when it has come from another node.
        """
        return connection.execute(
            "UPDATE outbox SET state = ?, error = 'the process ended while sending'"
            f" WHERE {OPEN_ROWS} AND state = ? AND (? = '' OR channel = ?)",
            (UNKNOWN, SENDING, number, number),
        ).rowcount

    @transaction
    def sending(self, connection: Connection, row: OutboxRow, *, now: float) -> float:
        """The request is about to be made; durable before the first byte of it.

        Gives until when the chat is paused as of this write, Unix seconds.
        """
        connection.execute(
            "UPDATE outbox SET state = ?, attempts = attempts + 1, attempted_at = ?"
            " WHERE id = ? AND state != ?",
            (SENDING, now, row.id, SENDING),
        )
        return _paused_until(connection, row.key)

    paused_until = reading(_paused_until)

    @transaction
    def sent(
        self,
        connection: Connection,
        row: OutboxRow,
        message_id: str,
        *,
        finishes: Turn | None = None,
        now: float,
        resend_since: float = NEVER,
    ) -> SettledSend:
        """Note that it was sent, with this id; returns the delivery updates that came earlier.

        They may make it ``pending`` again. If it is settled, and was the last one to be sent in
        the turn ``finishes``, the same write finishes that turn.
        """
        found = connection.execute(
            "UPDATE outbox SET state = ?, message_id = ?, sent_at = ?, error = '' WHERE id = ?"
            # WhatsApp may have reported already, after the echo, that this attempt failed.
            " AND NOT EXISTS (SELECT 1 FROM send_failures WHERE message_id = ?)"
            f" RETURNING {_COLUMNS}",
            (SENT, message_id, now, row.id, message_id),
        ).fetchone()
        if found:
            announcements.message_sent(connection, row.id, now=now)
        delivery_updates = claim_early(connection, message_id, now=now, resend_since=resend_since)
        left = _row(found) if found and not delivery_updates else _known_row(connection, row.id)
        over = finishes is not None and left.state not in UNSETTLED
        end = finish_turn(connection, finishes, now) if finishes and over else None
        return SettledSend(left, delivery_updates, end)

    async def unknown(self, row: OutboxRow, error: str) -> OutboxRow:
        """Note that its outcome is unknown. An echo may have settled it already.

        Gives the row as it is then, like the methods below.
        """
        return await self._set(row, "state = ?, error = ?", UNKNOWN, error, only_from=SENDING)

    async def pending(self, row: OutboxRow, error: str) -> OutboxRow:
        """Note that it certainly was not sent; it waits for another try."""
        return await self._set(row, "state = ?, error = ?", PENDING, error, only_from=SENDING)

    async def repeat(self, row: OutboxRow) -> OutboxRow:
        """Its outcome was unknown, and it was not found in the chat: it may be sent again."""
        return await self._set(row, "state = ?", PENDING, only_from=UNKNOWN)

    @transaction
    def failed(self, connection: Connection, row: OutboxRow, error: str) -> OutboxRow:
        """Note that it can never be sent.

        If an operator requeued it after its turn had ended, it may have been the whole answer.
        """
        found = connection.execute(
            f"UPDATE outbox SET state = ?, error = ? WHERE id = ? RETURNING {_COLUMNS}",
            (FAILED, error, row.id),
        ).fetchone()
        mark_dead(connection, row.id, error, now=row.attempted_at or row.created_at)
        return _row(found)

    @transaction
    def drop(self, connection: Connection, key: ChatKey, reason: str) -> int:
        """Drop the unsent messages of a chat that a person has taken; gives how many.

        What that person wrote in the dashboard stays.
        """
        return connection.execute(
            "UPDATE outbox SET state = ?, error = ?"
            f" WHERE channel = ? AND chat = ? AND {OPEN_ROWS} AND state IN (?, ?)"
            " AND author = ''",
            (DROPPED, reason, *key, PENDING, UNKNOWN),
        ).rowcount

    @query
    def customer_wrote_at(self, connection: Connection, key: ChatKey) -> float:
        """When the customer of a chat last wrote, Unix seconds; 0 if that is not known."""
        row = connection.execute(
            "SELECT customer_wrote_at FROM chats WHERE channel = ? AND chat = ?", key
        ).fetchone()
        return float(row[0]) if row else 0.0

    @transaction
    def customer_is_back(self, connection: Connection, key: ChatKey, *, now: float) -> bool:
        """Requeue answers that waited for the customer to write again; False if none did.

        Not what a person has dealt with meanwhile.
        """
        rows = connection.execute(
            "SELECT o.id FROM outbox o WHERE o.channel = ? AND o.chat = ?"
            f" AND o.state = '{FAILED}' AND o.error = ? AND EXISTS (SELECT 1 FROM messages m"
            f" WHERE m.turn_id = o.turn_id AND m.state = '{WITH_AGENT}' AND m.reason = ?)",
            (*key, WINDOW_SHUT, WINDOW_SHUT),
        ).fetchall()
        for (row_id,) in rows:
            connection.execute(
                "UPDATE outbox SET state = ?, message_id = '', status = '', error = ''"
                " WHERE id = ?",
                (PENDING, row_id),
            )
            reopen(connection, row_id, now=now)
        if rows:
            change_hold(connection, key, seen_to)
        return bool(rows)

    async def set_voice_note(self, row: OutboxRow, payload: JsonObject) -> OutboxRow:
        """Its voice note has been made and is a file; ``body`` keeps its words."""
        words = _json.encode(payload).decode()
        return await self._set(row, "payload = ?", words, only_from=PENDING)

    @transaction
    def write_instead(self, connection: Connection, row: OutboxRow, reason: str) -> OutboxRow:
        """A voice note cannot be made, or was refused: a text is sent in its place.

        So are the other voice notes of the same answer that are still pending. The row changes its
        kind in this write, before anything is sent; a row whose outcome is unknown is never given.
        """
        connection.execute(
            "UPDATE outbox SET kind = 'text', payload = ?, state = ?, error = ?"
            " WHERE kind = 'voice' AND ((id = ? AND state IN (?, ?))"
            " OR (turn_id = ? AND state = ?))",
            (
                *('{"instead_of":"voice"}', PENDING, reason),
                *(row.id, PENDING, SENDING),
                *(row.turn_id, PENDING),
            ),
        )
        return _known_row(connection, row.id)

    async def plainer(self, row: OutboxRow, part: NewPart, reason: str) -> OutboxRow:
        """A send was refused for its form: it waits to be sent as ``part`` instead."""
        payload = _json.encode(part.payload).decode()
        return await self._set(
            row,
            "state = ?, kind = ?, body = ?, quoted = ?, payload = ?, error = ?",
            *(PENDING, part.kind, part.body, part.quoted, payload, reason),
            only_from=SENDING,
        )

    @query
    def files_in_use(self, connection: Connection) -> frozenset[str]:
        """The names of the files that messages still to be sent need."""
        rows = connection.execute(
            f"SELECT payload FROM outbox WHERE {OPEN_ROWS} AND kind != 'text'"
        )
        names = (read_payload.decode(payload).get("file") for (payload,) in rows)
        return frozenset(str(name) for name in names if name)

    @query
    def sent_since(
        self, connection: Connection, key: ChatKey, like: Likeness, since: float
    ) -> tuple[str, ...]:
        """The WhatsApp ids of the messages like one that have gone out to a chat since a time."""
        rows = connection.execute(
            "SELECT message_id, kind, body, payload FROM outbox WHERE channel = ? AND chat = ?"
            " AND state = ? AND attempted_at >= ?",
            (*key, SENT, since),
        )
        return tuple(
            message_id
            for message_id, kind, body, payload in rows
            if like and likeness(kind, body, read_payload.decode(payload)) == like
        )

    @query
    def known_ids(self, connection: Connection, message_ids: Sequence[str]) -> frozenset[str]:
        """Those of some WhatsApp ids that are sends of ours already."""
        found = [
            connection.execute(
                "SELECT message_id FROM outbox WHERE message_id = ?"
                " UNION ALL SELECT message_id FROM send_failures WHERE message_id = ?",
                (message_id, message_id),
            ).fetchone()
            for message_id in message_ids
        ]
        return frozenset(row[0] for row in found if row)

    @query
    def counts(self, connection: Connection) -> dict[str, int]:
        """Rows by state, of those that are still open."""
        rows = connection.execute(
            f"SELECT state, COUNT(*) FROM outbox WHERE {OPEN_ROWS} GROUP BY state"
        )
        return {str(state): int(count) for state, count in rows}

    @transaction
    def _set(
        self,
        connection: Connection,
        row: OutboxRow,
        assignment: str,
        *values: object,
        only_from: str = "",
    ) -> OutboxRow:
        condition = " AND state = ?" if only_from else ""
        parameters = (*values, row.id, *([only_from] if only_from else []))
        found = connection.execute(
            f"UPDATE outbox SET {assignment} WHERE id = ?{condition} RETURNING {_COLUMNS}",
            parameters,
        ).fetchone()
        return _row(found) if found else _known_row(connection, row.id)


def queue_parts(
    connection: Connection,
    key: ChatKey,
    turn_id: int | None,
    parts: Sequence[NewPart],
    *,
    now: float,
) -> None:
    """Put the chunks of an answer into the outbox, inside the caller's transaction."""
    connection.executemany(_QUEUE, [_queued(key, turn_id, part, now) for part in parts])


def queue_part(
    connection: Connection, key: ChatKey, turn_id: int | None, part: NewPart, *, now: float
) -> int:
    """Put one message into the outbox, inside the caller's transaction; gives its row's id."""
    values = _queued(key, turn_id, part, now)
    return int(connection.execute(f"{_QUEUE} RETURNING id", values).fetchone()[0])


def _queued(key: ChatKey, turn_id: int | None, part: NewPart, now: float) -> tuple[object, ...]:
    payload = _json.encode(part.payload).decode()
    return (*key, turn_id, part.body, part.quoted, part.kind, payload, now)


def queue_notice(connection: Connection, key: ChatKey, part: NewPart, *, now: float) -> bool:
    """Queue something that the contact has not asked for, inside the caller's transaction.

    All apologies, reminders and the like pass here: False, and nothing done, if the contact has
    opted out of them.
    """
    if has_opted_out(connection, key):
        return False
    queue_parts(connection, key, None, [part], now=now)
    return True


def _row(
    row: tuple[int, str, str, int | None, str, str, str, int, float, float | None, str, str, str],
) -> OutboxRow:
    row_id, channel, chat, turn_id, body, quoted, state, attempts = row[:8]
    created_at, attempted_at, kind, payload, author = row[8:]
    return OutboxRow(
        id=row_id,
        key=ChatKey(channel, chat),
        turn_id=turn_id,
        body=body,
        quoted=quoted,
        state=state,
        attempts=attempts,
        created_at=created_at,
        attempted_at=attempted_at or 0,
        author=author,
        kind=kind,
        payload=read_payload.decode(payload),
    )


class InterimMessages(Role):
    """The messages of tools in a turn. Only the tool calls of the turn's run may add to it."""

    @transaction
    def add(
        self,
        connection: Connection,
        turn: Turn,
        key: str,
        ordinal: int,
        part: NewPart,
        *,
        now: float,
    ) -> bool:
        """Put one message into the outbox; False if it is there, or was sent, already.

        ``key`` is the idempotency key of the tool call, ``ordinal`` counts what the call says.
        """
        known = connection.execute(
            "SELECT 1 FROM interim_messages WHERE key = ? AND ordinal = ?", (key, ordinal)
        ).fetchone()
        if known:
            return False
        row_id = queue_part(connection, turn.key, turn.id, part, now=now)
        connection.execute(
            "INSERT INTO interim_messages (key, ordinal, outbox_id) VALUES (?, ?, ?)",
            (key, ordinal, row_id),
        )
        return True

    @query
    def sent_parts(self, connection: Connection, turn: Turn) -> dict[str, list[NewPart]]:
        """The messages of a turn's tool calls, sent or waiting, by the calls' keys, in order."""
        rows = connection.execute(
            "SELECT i.key, o.body, o.kind, o.payload FROM interim_messages i"
            " JOIN outbox o ON o.id = i.outbox_id WHERE o.turn_id = ?"
            " AND o.state NOT IN (?, ?) ORDER BY i.key, i.ordinal",
            (turn.id, FAILED, DROPPED),
        )
        parts: dict[str, list[NewPart]] = {}
        for key, body, kind, payload in rows:
            part = NewPart(body, kind=kind, payload=read_payload.decode(payload))
            parts.setdefault(key, []).append(part)
        return parts


class Escalations(Role):
    """The turns that hand their chat to a person. Only the turn's run may add one."""

    @transaction
    def open(
        self,
        connection: Connection,
        turn: Turn,
        *,
        reason: str,
        summary: str,
        urgency: str,
        pause_seconds: float,
        notice: tuple[str, str] | None,
        now: float,
        again: bool = True,
    ) -> bool:
        """Hand the chat of a turn to a person; False if this turn has done so already.

        ``again``: also if a person was asked for there before and has not come. ``urgency`` is
        low, normal or high. ``notice`` is the agents' chat and the words for them; the same write
        puts them into the outbox. The write that ends the turn pauses the bot for
        ``pause_seconds``.
        """
        known = connection.execute(
            "SELECT 1 FROM escalations WHERE turn_id = ? UNION ALL SELECT 1 FROM chats"
            " WHERE channel = ? AND chat = ? AND escalated_at > 0 AND ? = 0",
            (turn.id, *turn.key, int(again)),
        ).fetchone()
        if known:
            return False
        outbox_id = None
        if notice is not None:
            chat, words = notice
            agents = ChatKey(turn.key.number, chat)
            outbox_id = queue_part(connection, agents, None, NewPart(words), now=now)
        connection.execute(
            "INSERT INTO escalations (turn_id, reason, summary, urgency, pause_seconds,"
            " outbox_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (turn.id, reason, summary, urgency, pause_seconds, outbox_id, now),
        )
        mark_unread(connection, turn.key, now=now)
        announcement = ChatEscalated(
            chat=turn.key.chat,
            turn=turn.request_id,
            reason=reason,
            summary=summary,
            urgency=urgency,
        )
        announcements.announce(connection, turn.key, announcement, turn.request_id, now=now)
        return True
