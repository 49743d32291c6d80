"""The voice notes and files that went to a person, deleted with everything else of them."""

import json
import sqlite3
from pathlib import Path

from daemon.store.kept_files import AUDIO_FOLDER, delete_files
from daemon.store.operator.person import Person


def erase_sent_files(connection: sqlite3.Connection, person: Person, data_dir: Path) -> int:
    """Delete the files that went to the person, or were to, in groups too; gives how many.

    A file that somebody else is still to get stays. Comes before the outbox is emptied.
    """
    rows = connection.execute(
        "SELECT DISTINCT json_extract(payload, '$.file') FROM outbox"
        " WHERE (chat IN (SELECT value FROM json_each(?1))"
        " OR turn_id IN (SELECT value FROM json_each(?2))) AND kind NOT IN ('text', 'reaction')"
        " AND json_extract(payload, '$.file') NOT IN ("
        " SELECT json_extract(payload, '$.file') FROM outbox"
        " WHERE state IN ('pending', 'sending', 'unknown') AND kind NOT IN ('text', 'reaction')"
        " AND json_extract(payload, '$.file') IS NOT NULL"
        " AND chat NOT IN (SELECT value FROM json_each(?1))"
        " AND COALESCE(turn_id, 0) NOT IN (SELECT value FROM json_each(?2)))",
        (json.dumps(list(person.names)), json.dumps(list(person.group_turns))),
    )
    return delete_files(data_dir / AUDIO_FOLDER, {str(file) for (file,) in rows if file})
