"""The outbox: what Recado is going to say, is saying, and has said.

A row is `pending` until its send begins, `sending` while the request is under way, then `sent`,
or `unknown` if nobody can tell whether it went out. An unknown one is settled by its echo or by
looking at the chat, and only then sent again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.records import DeliveryUpdate, NewPart, OutboxRow, Turn, TurnEnd
from daemon.domain.rendering.outgoing import Likeness, likeness
from daemon.ledger.drivers.port import Connection
from daemon.ledger.people import has_opted_out
from daemon.ledger.role import Role, query, transaction
from daemon.ledger.statuses import NEVER, claim_early, mark_dead
from daemon.ledger.turn_outcome import finish_turn

_COLUMNS = (
    "id, channel, chat, turn_id, body, quoted, state, attempts, created_at, attempted_at, kind,"
    " payload, author"
)
_ROW = f"SELECT {_COLUMNS} FROM outbox"  # noqa: S608 - a constant
OPEN = frozenset({"pending", "sending", "unknown"})
"""The states of rows that are still to be said, or that somebody has to settle."""

_json = msgspec.json.Encoder()
read_payload = msgspec.json.Decoder(JsonObject)


class SettledSend(NamedTuple):
    """What a send has come to."""

    row: OutboxRow
    delivery_updates: tuple[DeliveryUpdate, ...]
    """What was told of it before its id was known."""
    end: TurnEnd | None
    """How the turn has ended that was finished by it."""


class Outbox(Role):
    """Outgoing messages. Only the task of a row's chat sends it; any task may read."""

    @query
    def open_rows(self, connection: Connection, key: ChatKey) -> tuple[OutboxRow, ...]:
        """What is still to be said in a chat, in order."""
        return open_rows(connection, key)

    @query
    def row(self, connection: Connection, row_id: int) -> OutboxRow:
        """One row as it is now."""
        return _known_row(connection, row_id)

    @query
    def chats_with_work(self, connection: Connection) -> tuple[ChatKey, ...]:
        """The chats in which something is still to be said."""
        rows = connection.execute(
            "SELECT DISTINCT channel, chat FROM outbox"
            " WHERE state IN ('pending', 'sending', 'unknown')"
        )
        return tuple(ChatKey(*row) for row in rows)

    @transaction
    def repair(self, connection: Connection) -> int:
        """After a crash: a send that was under way has an unknown outcome. Gives how many."""
        return connection.execute(
            "UPDATE outbox SET state = 'unknown', error = 'the process ended while sending'"
            " WHERE state IN ('pending', 'sending', 'unknown') AND state = 'sending'"
        ).rowcount

    @transaction
    def sending(self, connection: Connection, row: OutboxRow, *, now: float) -> float:
        """The request is about to be made; durable before the first byte of it.

        Gives until when the chat is paused as of this write, Unix seconds.
        """
        connection.execute(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1, attempted_at = ?"
            " WHERE id = ?",
            (now, row.id),
        )
        return _paused_until(connection, row.key)

    @query
    def paused_until(self, connection: Connection, key: ChatKey) -> float:
        """Until when a chat is paused, Unix seconds; 0 if it never was."""
        return _paused_until(connection, key)

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
        """It was said, under this WhatsApp id; gives what was told of that before.

        It may be ``pending`` again on return: see `daemon.ledger.statuses.note_status`. If not,
        and it was the last thing to be said in a turn, ``finishes``, that is finished in the same
        write.
        """
        found = connection.execute(
            "UPDATE outbox SET state = 'sent', message_id = ?1, sent_at = ?2, error = ''"  # noqa: S608 - constants
            # After its echo it may have been told already that this attempt has failed.
            " WHERE id = ?3 AND NOT EXISTS (SELECT 1 FROM send_failures"
            f" WHERE message_id = ?1) RETURNING {_COLUMNS}",
            (message_id, now, row.id),
        ).fetchone()
        delivery_updates = claim_early(connection, message_id, now=now, resend_since=resend_since)
        left = _row(found) if found and not delivery_updates else _known_row(connection, row.id)
        over = finishes is not None and left.state not in OPEN
        end = finish_turn(connection, finishes, now) if finishes and over else None
        return SettledSend(left, delivery_updates, end)

    async def unknown(self, row: OutboxRow, error: str) -> OutboxRow:
        """Nobody knows whether it went out. An echo may have settled it already.

        Gives the row as it is then, like the others that follow.
        """
        return await self._set(row, "state = 'unknown', error = ?", error, only_from="sending")

    async def pending(self, row: OutboxRow, error: str) -> OutboxRow:
        """It certainly was not said; it waits for another try."""
        return await self._set(row, "state = 'pending', error = ?", error, only_from="sending")

    async def repeat(self, row: OutboxRow) -> OutboxRow:
        """An unknown one was looked for and not found: it may be said again."""
        return await self._set(row, "state = 'pending'", only_from="unknown")

    @transaction
    def failed(self, connection: Connection, row: OutboxRow, error: str) -> OutboxRow:
        """It can never be said.

        Of a turn that has ended, which somebody has let be said again, it may have been all.
        """
        found = connection.execute(
            f"UPDATE outbox SET state = 'failed', error = ? WHERE id = ? RETURNING {_COLUMNS}",  # noqa: S608 - constants
            (error, row.id),
        ).fetchone()
        mark_dead(connection, row.id, error)
        return _row(found)

    @transaction
    def drop(self, connection: Connection, key: ChatKey, reason: str) -> int:
        """Say nothing more of what waits in a chat: a human has it. Gives how many rows.

        What that human has written in the dashboard stays.
        """
        return connection.execute(
            "UPDATE outbox SET state = 'dropped', error = ?"
            " WHERE channel = ? AND chat = ? AND state IN ('pending', 'unknown')"
            " AND author = ''",
            (reason, *key),
        ).rowcount

    async def voiced(self, row: OutboxRow, payload: JsonObject) -> OutboxRow:
        """Its voice note has been made and lies in a file; what is said stays in ``body``."""
        words = _json.encode(payload).decode()
        return await self._set(row, "payload = ?", words, only_from="pending")

    @transaction
    def write_instead(self, connection: Connection, row: OutboxRow, reason: str) -> OutboxRow:
        """A voice note cannot be made or is refused: it is written, once, in its place.

        So are the other voice notes of the same answer that nobody has begun to send. The row
        changes its kind in this one write, before anything is sent; one whose outcome is unknown
        is never given here.
        """
        connection.execute(
            "UPDATE outbox SET kind = 'text', payload = ?, state = 'pending', error = ?"
            " WHERE kind = 'voice' AND ((id = ? AND state IN ('pending', 'sending'))"
            " OR (turn_id = ? AND state = 'pending'))",
            ('{"instead_of":"voice"}', reason, row.id, row.turn_id),
        )
        return _known_row(connection, row.id)

    async def plainer(self, row: OutboxRow, part: NewPart, reason: str) -> OutboxRow:
        """A send was refused because of its form: it waits to be sent as ``part`` instead."""
        payload = _json.encode(part.payload).decode()
        return await self._set(
            row,
            "state = 'pending', kind = ?, body = ?, quoted = ?, payload = ?, error = ?",
            *(part.kind, part.body, part.quoted, payload, reason),
            only_from="sending",
        )

    @query
    def files_in_use(self, connection: Connection) -> frozenset[str]:
        """The names of the files that messages still to be sent need."""
        rows = connection.execute(
            "SELECT json_extract(payload, '$.file') FROM outbox"
            " WHERE state IN ('pending', 'sending', 'unknown') AND kind != 'text'"
        )
        return frozenset(str(name) for (name,) in rows if name)

    @query
    def said_since(
        self, connection: Connection, key: ChatKey, like: Likeness, since: float
    ) -> tuple[str, ...]:
        """The WhatsApp ids of the messages like one that have gone out to a chat since a time."""
        rows = connection.execute(
            "SELECT message_id, kind, body, payload FROM outbox WHERE channel = ? AND chat = ?"
            " AND state = 'sent' AND attempted_at >= ?",
            (*key, since),
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
                "SELECT message_id FROM outbox WHERE message_id = ?1"
                " UNION ALL SELECT message_id FROM send_failures WHERE message_id = ?1",
                (message_id,),
            ).fetchone()
            for message_id in message_ids
        ]
        return frozenset(row[0] for row in found if row)

    @query
    def counts(self, connection: Connection) -> dict[str, int]:
        """Rows by state, of those that are still open."""
        rows = connection.execute(
            "SELECT state, COUNT(*) FROM outbox"
            " WHERE state IN ('pending', 'sending', 'unknown') GROUP BY state"
        )
        return {str(state): int(count) for state, count in rows}

    async def _set(
        self, row: OutboxRow, assignment: str, *values: object, only_from: str = ""
    ) -> OutboxRow:
        condition = " AND state = ?" if only_from else ""
        parameters = (*values, row.id, *([only_from] if only_from else []))

        def verb(connection: Connection) -> OutboxRow:
            found = connection.execute(
                f"UPDATE outbox SET {assignment} WHERE id = ?{condition} RETURNING {_COLUMNS}",  # noqa: S608 - constants
                parameters,
            ).fetchone()
            return _row(found) if found else _known_row(connection, row.id)

        return await self._database.write(verb)


def open_rows(connection: Connection, key: ChatKey) -> tuple[OutboxRow, ...]:
    """See `Outbox.open_rows`; inside the caller's transaction or read."""
    rows = connection.execute(
        f"{_ROW} WHERE channel = ? AND chat = ?"
        " AND state IN ('pending', 'sending', 'unknown') ORDER BY id",
        key,
    )
    return tuple(_row(row) for row in rows)


def _paused_until(connection: Connection, key: ChatKey) -> float:
    row = connection.execute(
        "SELECT paused_until FROM chats WHERE channel = ? AND chat = ?", key
    ).fetchone()
    return float(row[0]) if row else 0.0


def _known_row(connection: Connection, row_id: int) -> OutboxRow:
    return _row(connection.execute(f"{_ROW} WHERE id = ?", (row_id,)).fetchone())


def queue_parts(
    connection: Connection,
    key: ChatKey,
    turn_id: int | None,
    parts: Sequence[NewPart],
    *,
    now: float,
) -> None:
    """Put the chunks of an answer into the outbox, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO outbox (channel, chat, turn_id, body, quoted, kind, payload, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(*key, turn_id, part.body, part.quoted),
                *(part.kind, _json.encode(part.payload).decode(), now),
            )
            for part in parts
        ],
    )


def queue_notice(connection: Connection, key: ChatKey, part: NewPart, *, now: float) -> bool:
    """Queue something that nobody has asked for, inside the caller's transaction.

    The one place for apologies, reminders and the like: False, and nothing done, if the contact
    has opted out of them.
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
