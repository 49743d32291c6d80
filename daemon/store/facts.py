"""Facts: what is remembered about a contact beyond the thread, in the model's words."""

import sqlite3

from daemon.ledger import Fact, Turn
from daemon.model import ChatKey
from daemon.store.database import Database

MAX_FACTS = 50
"""All of them are in every request to the model, so they are few."""


class Facts:
    """What is remembered of each contact. Any task may call it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, key: ChatKey) -> tuple[Fact, ...]:
        """The facts about a contact, oldest first."""
        return await self._database.read(lambda connection: facts_of(connection, key))

    async def remember(self, turn: Turn, fact: str, *, now: float) -> int:
        """Keep a fact learnt in a turn; gives its number, the old one if it is known already.

        ``fact`` has at most ``MAX_FACT_CHARACTERS`` of `daemon.ledger`. Gives 0, and keeps
        nothing, if the contact has ``MAX_FACTS`` already.
        """

        def verb(connection: sqlite3.Connection) -> int:
            known = connection.execute(
                "SELECT id FROM facts WHERE channel = ? AND chat = ? AND fact = ?",
                (*turn.key, fact),
            ).fetchone()
            if known:
                return int(known[0])
            row = connection.execute(
                "INSERT INTO facts (channel, chat, turn_id, fact, created_at)"
                " SELECT ?, ?, ?, ?, ? WHERE"
                " (SELECT COUNT(*) FROM facts WHERE channel = ? AND chat = ?) < ? RETURNING id",
                (*turn.key, turn.id, fact, now, *turn.key, MAX_FACTS),
            ).fetchone()
            return int(row[0]) if row else 0

        return await self._database.write(verb)

    async def forget(self, key: ChatKey, fact_id: int) -> bool:
        """Forget one fact about a contact; False if there is none of that number."""

        def verb(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "DELETE FROM facts WHERE channel = ? AND chat = ? AND id = ?", (*key, fact_id)
            )
            return done.rowcount == 1

        return await self._database.write(verb)


def facts_of(connection: sqlite3.Connection, key: ChatKey) -> tuple[Fact, ...]:
    """See `Facts.of`; inside the caller's transaction or read."""
    rows = connection.execute(
        "SELECT id, fact FROM facts WHERE channel = ? AND chat = ? ORDER BY id", key
    )
    return tuple(Fact(*row) for row in rows)
