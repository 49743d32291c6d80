"""Where a chat stands: all that its task has to know when it begins, read in one go."""

import sqlite3
from dataclasses import dataclass

from daemon.ledger import ChatRecord, OutboxRow, Turn
from daemon.limits.brakes import Exchange
from daemon.model import ChatKey
from daemon.store.database import Database
from daemon.store.exchanges import recent_exchanges
from daemon.store.outbox import open_rows
from daemon.store.thread import chat_record
from daemon.store.turns import living_turn
from daemon.store.waiting import signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an earlier task of a chat, or an earlier process, has left behind."""

    chat: ChatRecord
    turn: Turn | None
    """The turn that has no outcome yet."""
    to_say: tuple[OutboxRow, ...]
    """What is still to be said, in order."""
    exchanges: tuple[Exchange, ...]
    """The last turns, oldest first."""
    waits: bool
    """True if the end of its pause means something."""
    notes: bool
    """True if a person has closed, or has, a message of which the thread does not know."""


class Standings:
    """Where chats stand. Any task may call it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, key: ChatKey, *, since: float) -> Standing:
        """Where a chat stands now; of its turns those answered since a time (Unix seconds)."""

        def verb(connection: sqlite3.Connection) -> Standing:
            waits, notes = signals(connection, key)
            return Standing(
                chat=chat_record(connection, key),
                turn=living_turn(connection, key),
                to_say=open_rows(connection, key),
                exchanges=recent_exchanges(connection, key, since=since),
                waits=waits,
                notes=notes,
            )

        return await self._database.read(verb)
