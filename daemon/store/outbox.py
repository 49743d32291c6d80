"""The outbox: what Recado is going to say, is saying, and has said.

A row is `pending` until its send begins, `sending` while the request is under way, then `sent`,
or `unknown` if nobody can tell whether it went out. An unknown one is settled by its echo or by
looking at the chat, and only then sent again.
"""

import sqlite3
from collections.abc import Sequence

from daemon.ledger import NewPart, OutboxRow
from daemon.model import ChatKey
from daemon.store.database import Database

_ROW = (
    "SELECT id, channel, chat, turn_id, body, quoted, state, attempts, created_at, attempted_at"
    " FROM outbox"
)


class Outbox:
    """Outgoing messages. Only the task of a row's chat sends it; any task may read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_rows(self, key: ChatKey) -> tuple[OutboxRow, ...]:
        """What is still to be said in a chat, in order."""

        def verb(connection: sqlite3.Connection) -> tuple[OutboxRow, ...]:
            rows = connection.execute(
                f"{_ROW} WHERE channel = ? AND chat = ?"
                " AND state IN ('pending', 'sending', 'unknown') ORDER BY id",
                key,
            )
            return tuple(_row(row) for row in rows)

        return await self._database.read(verb)

    async def row(self, row_id: int) -> OutboxRow:
        """One row as it is now."""

        def verb(connection: sqlite3.Connection) -> OutboxRow:
            return _row(connection.execute(f"{_ROW} WHERE id = ?", (row_id,)).fetchone())

        return await self._database.read(verb)

    async def chats_with_work(self) -> tuple[ChatKey, ...]:
        """The chats in which something is still to be said."""

        def verb(connection: sqlite3.Connection) -> tuple[ChatKey, ...]:
            rows = connection.execute(
                "SELECT DISTINCT channel, chat FROM outbox"
                " WHERE state IN ('pending', 'sending', 'unknown')"
            )
            return tuple(ChatKey(*row) for row in rows)

        return await self._database.read(verb)

    async def repair(self) -> int:
        """After a crash: a send that was under way has an unknown outcome. Gives how many."""

        def verb(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE outbox SET state = 'unknown', error = 'the process ended while sending'"
                " WHERE state IN ('pending', 'sending', 'unknown') AND state = 'sending'"
            ).rowcount

        return await self._database.write(verb)

    async def sending(self, row: OutboxRow, *, now: float) -> None:
        """The request is about to be made; durable before the first byte of it."""
        await self._set(row, "state = 'sending', attempts = attempts + 1, attempted_at = ?", now)

    async def sent(self, row: OutboxRow, message_id: str, *, now: float) -> None:
        """It was said, under this WhatsApp id."""
        await self._set(
            row, "state = 'sent', message_id = ?, sent_at = ?, error = ''", message_id, now
        )

    async def unknown(self, row: OutboxRow, error: str) -> OutboxRow:
        """Nobody knows whether it went out. An echo may have settled it already."""
        await self._set(row, "state = 'unknown', error = ?", error, only_from="sending")
        return await self.row(row.id)

    async def pending(self, row: OutboxRow, error: str) -> None:
        """It certainly was not said; it waits for another try."""
        await self._set(row, "state = 'pending', error = ?", error, only_from="sending")

    async def repeat(self, row: OutboxRow) -> None:
        """An unknown one was looked for and not found: it may be said again."""
        await self._set(row, "state = 'pending'", only_from="unknown")

    async def failed(self, row: OutboxRow, error: str) -> None:
        """It can never be said."""
        await self._set(row, "state = 'failed', error = ?", error)

    async def drop(self, key: ChatKey, reason: str) -> int:
        """Say nothing more of what waits in a chat: a human has it. Gives how many rows."""

        def verb(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE outbox SET state = 'dropped', error = ?"
                " WHERE channel = ? AND chat = ? AND state IN ('pending', 'unknown')",
                (reason, *key),
            ).rowcount

        return await self._database.write(verb)

    async def said_since(self, key: ChatKey, body: str, since: float) -> tuple[str, ...]:
        """The WhatsApp ids under which these very words have gone out to a chat since a time."""

        def verb(connection: sqlite3.Connection) -> tuple[str, ...]:
            rows = connection.execute(
                "SELECT message_id FROM outbox WHERE channel = ? AND chat = ? AND body = ?"
                " AND state = 'sent' AND attempted_at >= ?",
                (*key, body, since),
            )
            return tuple(message_id for (message_id,) in rows)

        return await self._database.read(verb)

    async def known_ids(self, message_ids: Sequence[str]) -> frozenset[str]:
        """Those of some WhatsApp ids that are sends of ours already."""

        def verb(connection: sqlite3.Connection) -> frozenset[str]:
            found = [
                connection.execute(
                    "SELECT message_id FROM outbox WHERE message_id = ?", (message_id,)
                ).fetchone()
                for message_id in message_ids
            ]
            return frozenset(row[0] for row in found if row)

        return await self._database.read(verb)

    async def counts(self) -> dict[str, int]:
        """Rows by state, of those that are still open."""

        def verb(connection: sqlite3.Connection) -> dict[str, int]:
            rows = connection.execute(
                "SELECT state, COUNT(*) FROM outbox"
                " WHERE state IN ('pending', 'sending', 'unknown') GROUP BY state"
            )
            return {str(state): int(count) for state, count in rows}

        return await self._database.read(verb)

    async def _set(
        self, row: OutboxRow, assignment: str, *values: object, only_from: str = ""
    ) -> None:
        condition = " AND state = ?" if only_from else ""
        parameters = (*values, row.id, *([only_from] if only_from else []))

        def verb(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"UPDATE outbox SET {assignment} WHERE id = ?{condition}",  # noqa: S608 - constants
                parameters,
            )

        await self._database.write(verb)


def queue_parts(
    connection: sqlite3.Connection,
    key: ChatKey,
    turn_id: int | None,
    parts: Sequence[NewPart],
    *,
    now: float,
) -> None:
    """Put the chunks of an answer into the outbox, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO outbox (channel, chat, turn_id, body, quoted, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [(*key, turn_id, part.body, part.quoted, now) for part in parts],
    )


def _row(
    row: tuple[int, str, str, int | None, str, str, str, int, float, float | None],
) -> OutboxRow:
    row_id, channel, chat, turn_id, body, quoted, state, attempts, created_at, attempted_at = row
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
    )
