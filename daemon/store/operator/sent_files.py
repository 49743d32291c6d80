"""The voice notes and files that went to a person, deleted with everything else of them."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from daemon.store.kept_files import AUDIO_FOLDER, delete_files


def erase_sent_files(connection: sqlite3.Connection, names: Sequence[str], data_dir: Path) -> int:
    """Delete the files that were sent, or were to be sent, to these chats; gives how many.

    A file that somebody else is still to get stays. Comes before the outbox is emptied.
    """
    rows = connection.execute(
        "SELECT DISTINCT json_extract(payload, '$.file') FROM outbox"
        " WHERE chat IN (SELECT value FROM json_each(?1)) AND kind NOT IN ('text', 'reaction')"
        " AND json_extract(payload, '$.file') NOT IN ("
        " SELECT json_extract(payload, '$.file') FROM outbox"
        " WHERE state IN ('pending', 'sending', 'unknown') AND kind NOT IN ('text', 'reaction')"
        " AND json_extract(payload, '$.file') IS NOT NULL"
        " AND chat NOT IN (SELECT value FROM json_each(?1)))",
        (json.dumps(list(names)),),
    )
    return delete_files(data_dir / AUDIO_FOLDER, {str(file) for (file,) in rows if file})
