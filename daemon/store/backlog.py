"""How much waits, and how much was given up: figures for probes and metrics."""

import sqlite3

from daemon.handover import WITH_AGENT
from daemon.store.database import Database


class Backlog:
    """What is not done yet. Any task may ask; it is read from indexes alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self) -> tuple[dict[str, int], int]:
        """Customers' messages without an outcome by state, and how many were given up.

        Raises StoreUnavailable.
        """

        def verb(connection: sqlite3.Connection) -> tuple[dict[str, int], int]:
            queue = connection.execute(
                "SELECT state, COUNT(*) FROM messages WHERE state IN ('received', 'in_turn')"  # noqa: S608 - constant
                f" GROUP BY state UNION ALL SELECT '{WITH_AGENT}', COUNT(*) FROM messages"
                f" WHERE state = '{WITH_AGENT}'"
            )
            dead = connection.execute("SELECT COUNT(*) FROM messages WHERE state = 'dead'")
            return dict(queue.fetchall()), dead.fetchone()[0]

        return await self._database.read(verb)
