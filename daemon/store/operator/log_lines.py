"""Taking a person out of the dashboard's live log."""

import json
import sqlite3

from daemon.store.operator.person import Person


def erase_log_lines(connection: sqlite3.Connection, person: Person) -> None:
    """Delete the lines of the person's chats, and of groups in which the person has written.

    To be called while the person's messages can still be told from those of others.
    """
    connection.execute(
        "DELETE FROM log_lines WHERE chat IN (SELECT value FROM json_each(:names)) OR chat IN"
        " (SELECT chat FROM messages WHERE json_extract(message, '$.author')"
        " IN (SELECT value FROM json_each(:authors)))",
        {"names": json.dumps(person.names), "authors": json.dumps(person.authors)},
    )
