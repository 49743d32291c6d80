"""Who is signed in to the dashboard, by names that let nobody in."""

import sqlite3

from daemon.store.database import Database

MOST_SESSIONS = 1_000
"""More browsers than any business has; the ones that end first make room."""


class Sessions:
    """The sessions of the dashboard. Called by its requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, name: str, *, ends_at: float, now: float) -> None:
        """Keep a session, and drop those that are over."""

        def verb(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM dashboard_sessions WHERE ends_at <= ?", (now,))
            connection.execute(
                "DELETE FROM dashboard_sessions WHERE name IN ("
                " SELECT name FROM dashboard_sessions ORDER BY ends_at DESC LIMIT -1 OFFSET ?)",
                (MOST_SESSIONS - 1,),
            )
            connection.execute(
                "INSERT OR REPLACE INTO dashboard_sessions (name, ends_at) VALUES (?, ?)",
                (name, ends_at),
            )

        await self._database.write(verb)

    async def end_of(self, name: str) -> float:
        """When a session ends, Unix seconds; 0 if there is none of that name."""

        def verb(connection: sqlite3.Connection) -> float:
            row = connection.execute(
                "SELECT ends_at FROM dashboard_sessions WHERE name = ?", (name,)
            ).fetchone()
            return float(row[0]) if row else 0.0

        return await self._database.read(verb)

    async def end(self, name: str) -> None:
        """Forget a session."""

        def verb(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM dashboard_sessions WHERE name = ?", (name,))

        await self._database.write(verb)
