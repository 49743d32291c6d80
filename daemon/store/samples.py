"""The daemon's figures, one row a minute, and what stands in the ledger right now."""

import sqlite3

import msgspec

from daemon.store.database import Database
from daemon.watching import Sample

_read = msgspec.json.Decoder(Sample)
_write = msgspec.json.Encoder()


class Samples:
    """The figures of the last days. One task adds to them, any may read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, sample: Sample, *, keep_seconds: float) -> None:
        """Store the figures of a minute and drop those older than ``keep_seconds``."""

        def verb(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO samples (at, figures) VALUES (?, ?)",
                (sample.at, _write.encode(sample).decode()),
            )
            connection.execute("DELETE FROM samples WHERE at < ?", (sample.at - keep_seconds,))

        await self._database.write(verb)

    async def since(self, moment: float) -> tuple[Sample, ...]:
        """The figures since a moment (Unix seconds), oldest first."""

        def verb(connection: sqlite3.Connection) -> tuple[Sample, ...]:
            rows = connection.execute(
                "SELECT figures FROM samples WHERE at >= ? ORDER BY at", (moment,)
            )
            return tuple(_read.decode(figures) for (figures,) in rows)

        return await self._database.read(verb)

    async def standing(self, now: float) -> tuple[int, int]:
        """How many chats an agent has now, and how many turns lie there as dead letters."""

        def verb(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute(
                "SELECT (SELECT COUNT(*) FROM chats WHERE paused_until > ?),"
                " (SELECT COUNT(*) FROM turns WHERE outcome = 'dead')",
                (now,),
            ).fetchone()
            return row[0], row[1]

        return await self._database.read(verb)
