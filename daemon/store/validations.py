"""What validation said of answers, beside the responses that it was said of."""

import sqlite3

from daemon.ledger import Run, Validation
from daemon.store.database import Database


class Validations:
    """Second tries of answers. Only the task of a turn's chat may ask for one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask_again(
        self, run: Run, number: int, *, rulings: str, note: str, cooldown: float, now: float
    ) -> bool:
        """Grant the answer of a round a second try, and keep the note for it; False if not.

        Once a turn, and once in ``cooldown`` seconds a chat. ``rulings`` is a JSON list.
        """

        def verb(connection: sqlite3.Connection) -> bool:
            asked = connection.execute(
                "SELECT 1 FROM responses JOIN runs ON runs.id = run_id"
                " WHERE turn_id = ? AND note != '' LIMIT 1",
                (run.turn_id,),
            ).fetchone()
            if asked is not None:
                return False
            due = connection.execute(
                "UPDATE chats SET validated_at = ? WHERE (channel, chat) ="
                " (SELECT channel, chat FROM turns WHERE id = ?)"
                " AND (validated_at <= ? OR validated_at > ?)",
                (now, run.turn_id, now - cooldown, now),
            )
            if not due.rowcount:
                return False
            connection.execute(
                "UPDATE responses SET validation = ?, note = ? WHERE run_id = ? AND round = ?",
                (rulings, note, run.id, number),
            )
            return True

        return await self._database.write(verb)


def record(connection: sqlite3.Connection, turn_id: int, validation: Validation) -> None:
    """Keep what was said of the answer that a turn ends with, inside the caller's transaction."""
    connection.execute(
        "UPDATE responses SET validation = ? WHERE round = ? AND run_id ="
        " (SELECT id FROM runs WHERE turn_id = ? AND state = 'running')",
        (validation.rulings, validation.round, turn_id),
    )
    if validation.doubt:
        connection.execute("UPDATE turns SET doubt = ? WHERE id = ?", (validation.doubt, turn_id))
