"""Escalations: chats handed to a person by the model, with the pause that follows the answer."""

import sqlite3

from daemon.ledger import NewPart, Turn
from daemon.model import ChatKey
from daemon.store.database import Database
from daemon.store.outbox import queue_parts


class Escalations:
    """Which turns hand their chat to a person. Only the turn's run may add one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
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

        ``again``: also if a person is asked for there already, and has not come.

        ``urgency`` is low, normal or high. ``notice`` is the agents' chat and the words for them,
        put into the outbox in the same write. The bot is paused for ``pause_seconds`` from the end
        of the turn, by the write that ends it.
        """

        def verb(connection: sqlite3.Connection) -> bool:
            known = connection.execute(
                "SELECT 1 FROM escalations WHERE turn_id = ?1 UNION ALL SELECT 1 FROM chats"
                " WHERE channel = ?2 AND chat = ?3 AND escalated_at > 0 AND NOT ?4",
                (turn.id, *turn.key, again),
            ).fetchone()
            if known:
                return False
            outbox_id = None
            if notice is not None:
                chat, words = notice
                agents = ChatKey(turn.key.channel, chat)
                queue_parts(connection, agents, None, [NewPart(words)], now=now)
                outbox_id = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
            connection.execute(
                "INSERT INTO escalations (turn_id, reason, summary, urgency, pause_seconds,"
                " outbox_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (turn.id, reason, summary, urgency, pause_seconds, outbox_id, now),
            )
            return True

        return await self._database.write(verb)
