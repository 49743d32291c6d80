"""The stages of turns, kept for people who want to know where the time went."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from daemon.store.database import Database

BATCH = 2_000
"""Rows deleted in one write: a few milliseconds, so that no webhook waits for it."""


class StageRow(NamedTuple):
    """The beginning of one stage of a turn; ``at`` in Unix seconds."""

    turn_id: int
    stage: str
    at: float
    detail: str


class Stages:
    """The record of stages. One task adds to it and one lets old ones go."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[StageRow]) -> None:
        """Keep the stages of turns that have ended, in one write. Raises StoreUnavailable."""

        def verb(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO stages (turn_id, stage, at, detail) VALUES (?, ?, ?, ?)", rows
            )

        await self._database.write(verb)

    async def drop_old(self, *, before: float) -> bool:
        """Delete a batch of those from before a time (Unix seconds); True if there may be more.

        Raises StoreUnavailable.
        """

        def verb(connection: sqlite3.Connection) -> bool:
            deleted = connection.execute(
                "DELETE FROM stages WHERE id IN (SELECT id FROM stages WHERE at < ? LIMIT ?)",
                (before, BATCH),
            )
            return deleted.rowcount == BATCH

        return await self._database.write(verb)
