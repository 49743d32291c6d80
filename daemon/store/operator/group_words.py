"""What a person has said in groups, in the threads of these: found, and taken out."""

import json
import sqlite3

from daemon.observe.redaction import mask_numbers
from daemon.store.operator.person import Person


def erase_group_words(connection: sqlite3.Connection, person: Person) -> int:
    """Erase the items of groups' threads in which the person speaks; gives how many.

    An item holds the words of several persons; it goes as a whole, and with it the answer to it.
    What stands for older parts of such a thread may tell of the person too, and goes likewise.
    Comes before the person's messages are emptied, inside the caller's transaction.
    """
    authors = json.dumps(person.authors)
    groups = connection.execute(
        "SELECT DISTINCT channel, chat FROM messages WHERE chat GLOB '*@g.us'"
        " AND json_extract(message, '$.author') IN (SELECT value FROM json_each(?))",
        (authors,),
    ).fetchall()
    labels = {f"({mask_numbers(name.partition('@')[0])})" for name in person.names}
    erased = 0
    for channel, chat in groups:
        erased += connection.execute(
            "DELETE FROM thread_items WHERE channel = ?1 AND chat = ?2 AND (turn_id IN ("
            " SELECT turn_id FROM messages WHERE channel = ?1 AND chat = ?2"
            " AND turn_id IS NOT NULL"
            " AND json_extract(message, '$.author') IN (SELECT value FROM json_each(?3)))"
            " OR EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(item, value)))",
            (channel, chat, authors, json.dumps(sorted(labels))),
        ).rowcount
        connection.execute(
            "DELETE FROM thread_heads WHERE channel = ? AND chat = ?", (channel, chat)
        )
    return erased
