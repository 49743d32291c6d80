"""Responses that the model server keeps for us, and those of them that nobody will ask for.

A row is there from the moment the response has an id until its answer is known or the server has
said that it is gone. Whatever an earlier process has left is an orphan.
"""

from daemon.ledger.drivers.port import Connection
from daemon.ledger.role import Role, query, transaction

MOST_AT_ONCE = 500
"""Orphans that one start cancels; more are left to the next."""


def note(connection: Connection, response_id: str, *, now: float) -> None:
    """The server keeps this; inside the caller's transaction."""
    connection.execute(
        "INSERT INTO kept_responses (response_id, noted_at) VALUES (?, ?)"
        " ON CONFLICT (response_id) DO UPDATE SET noted_at = excluded.noted_at",
        (response_id, now),
    )


def forget(connection: Connection, response_id: str) -> None:
    """The server keeps it no more; inside the caller's transaction."""
    connection.execute("DELETE FROM kept_responses WHERE response_id = ?", (response_id,))


class Orphans(Role):
    """What earlier processes have left at the model server. Recovery alone asks for it."""

    @query
    def left(self, connection: Connection, *, before: float) -> tuple[str, ...]:
        """Responses noted before this time, Unix seconds, that no running run will ask for."""
        rows = connection.execute(
            "SELECT response_id FROM kept_responses k WHERE noted_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM responses p JOIN runs r ON r.id = p.run_id"
            " WHERE r.state = 'running' AND p.state != 'completed'"
            " AND p.response_id = k.response_id) ORDER BY noted_at LIMIT ?",
            (before, MOST_AT_ONCE),
        )
        return tuple(response_id for (response_id,) in rows)

    @transaction
    def noted(self, connection: Connection, response_id: str, *, now: float) -> None:
        """The server keeps a response that belongs to no run, and will not be asked for again."""
        note(connection, response_id, now=now)

    @transaction
    def released(self, connection: Connection, response_id: str) -> None:
        """The server has said that it does not run or keep this any more."""
        forget(connection, response_id)
