"""Interim messages: what tools say to the customer while they work, each once."""

import sqlite3

from daemon.ledger import NewPart, Turn
from daemon.store.database import Database
from daemon.store.outbox import queue_parts, read_payload


class InterimMessages:
    """What tools have said in a turn. Only the tool calls of the turn's run may add to it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(self, turn: Turn, key: str, ordinal: int, part: NewPart, *, now: float) -> bool:
        """Put one message into the outbox; False if it is there, or has been said, already.

        ``key`` is the idempotency key of the tool call, ``ordinal`` counts what the call says.
        """

        def verb(connection: sqlite3.Connection) -> bool:
            known = connection.execute(
                "SELECT 1 FROM interim_messages WHERE key = ? AND ordinal = ?", (key, ordinal)
            ).fetchone()
            if known:
                return False
            queue_parts(connection, turn.key, turn.id, [part], now=now)
            connection.execute(
                "INSERT INTO interim_messages (key, ordinal, outbox_id)"
                " VALUES (?, ?, last_insert_rowid())",
                (key, ordinal),
            )
            return True

        return await self._database.write(verb)

    async def said(self, turn: Turn) -> dict[str, list[NewPart]]:
        """What the tool calls of a turn have said or are going to say, by their keys, in order."""

        def verb(connection: sqlite3.Connection) -> dict[str, list[NewPart]]:
            rows = connection.execute(
                "SELECT i.key, o.body, o.kind, o.payload FROM interim_messages i"
                " JOIN outbox o ON o.id = i.outbox_id WHERE o.turn_id = ?"
                " AND o.state NOT IN ('failed', 'dropped')"
                " ORDER BY i.key, i.ordinal",
                (turn.id,),
            )
            said: dict[str, list[NewPart]] = {}
            for key, body, kind, payload in rows:
                part = NewPart(body, kind=kind, payload=read_payload.decode(payload))
                said.setdefault(key, []).append(part)
            return said

        return await self._database.read(verb)
