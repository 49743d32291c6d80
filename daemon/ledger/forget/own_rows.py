"""The rows of a chat that is erased: its thread, its turns, its messages, its sends.

Of a forgotten person the rows that are counted stay, without words and under a name that identifies
nobody. Of a chat that is only too old they are deleted. All functions work inside the caller's
transaction.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from daemon.domain.messages import ChatKey, Message, Other
from daemon.domain.records import MEDIA_FOLDER
from daemon.domain.states import (
    DROPPED,
    FAILED,
    IGNORED,
    IN_TURN,
    RECEIVED,
    SENT,
    STARTED,
    WITH_AGENT,
)
from daemon.ledger.admin.person import NUMBERS, OF_CHAT, Person, joined_key
from daemon.ledger.audit import erase_audit
from daemon.ledger.drivers.port import Connection
from daemon.ledger.files import AUDIO_FOLDER, discard
from daemon.ledger.media import drop_files
from daemon.ledger.outbox import OPEN_ROWS

EVENTS_LOOKED_AT = 500
"""Events in one read: their bodies are read one after the other, which takes milliseconds."""

_TOKENS = re.compile(rb'"([^"\\]{4,128})"')
"""Strings of a JSON body that may be ids."""


def find_events(
    connection: Connection,
    person: Person,
    folder: Path,
    *,
    after: int,
    up_to: int,
    most_bytes: int,
) -> tuple[list[int], int]:
    """Look for the person's names and message ids in the next raw bodies that are kept.

    Gives the events about the person, until their bodies reach ``most_bytes``, and
    the last event that was looked at: 0 if there are no more.
    """
    ids = {message_id.encode() for message_id in person.message_ids}
    found, last = [], 0
    rows = connection.execute(
        "SELECT id, body, body_file FROM events WHERE id > ? AND id <= ?"
        " AND (body IS NOT NULL OR body_file != '') ORDER BY id LIMIT ?",
        (after, up_to, EVENTS_LOOKED_AT),
    )
    for event_id, kept, file in rows:
        last = event_id
        body = kept or b""
        if file:
            with suppress(FileNotFoundError):
                body = (folder / file).read_bytes()
        if person.raw_pattern.search(body) or not ids.isdisjoint(_TOKENS.findall(body)):
            found.append(event_id)
            most_bytes -= len(kept or b"")
        if most_bytes <= 0:
            break
    return found, last


def drop_events(connection: Connection, ids: Sequence[int], folder: Path) -> int:
    """Drop some raw bodies, inside the caller's transaction; gives how many.

    Files are deleted before the rows that name them, so that no file is left without a row.
    """
    rows = connection.execute(
        f"SELECT id, body_file FROM events WHERE id IN {NUMBERS}"
        " AND (body IS NOT NULL OR body_file != '' OR unreadable != '')",
        (json.dumps(list(ids)),),
    ).fetchall()
    for _, file in rows:
        if file:
            (folder / file).unlink(missing_ok=True)
    connection.executemany(
        "UPDATE events SET body = NULL, body_file = '', unreadable = '', doomed = 0 WHERE id = ?",
        [(event_id,) for event_id, _ in rows],
    )
    return len(rows)


REASON = "forgotten"

Names = Mapping[str, str]
"""The new names of a person's chats; none if the chats are deleted."""

EVENTS_FOLDER = "events"

CLOSE_ENQUIRIES = (
    "UPDATE enquiries SET chat = '', first_seq = 0, last_seq = 0, settled = 1,"
    " outcome = CASE outcome WHEN 'waiting' THEN 'unanswered' ELSE outcome END WHERE id IN"
)
"""Their figures stay, and say nothing of the person."""

_json = msgspec.json.Encoder()

_TURNS = "turn_id IN (SELECT CAST(value AS BIGINT) FROM json_each(:turns))"
_PARTS = {
    "@runs": "run_id IN (SELECT id FROM runs WHERE @turns)",
    "@sends": "outbox_id IN (SELECT id FROM outbox WHERE @turns)",
    "@turns": _TURNS,
}


def _filled(*statements: str) -> tuple[str, ...]:
    for part, condition in _PARTS.items():
        statements = tuple(statement.replace(part, condition) for statement in statements)
    return statements


_EMPTY_TURNS = _filled(
    f"""UPDATE responses SET response_id = '', response = '', error = '', note = '',
        state = CASE state WHEN '{STARTED}' THEN '{FAILED}' ELSE state END,
        ended_at = COALESCE(ended_at, :now) WHERE @runs""",
    f"""UPDATE tool_calls SET arguments = '{{}}', output = '', key = '',
        state = CASE state WHEN '{STARTED}' THEN '{FAILED}' ELSE state END,
        ended_at = COALESCE(ended_at, :now) WHERE @turns""",
    "DELETE FROM thread_items WHERE @turns",
    "DELETE FROM facts WHERE @turns",
    "DELETE FROM escalations WHERE @turns",
    "DELETE FROM candidate_answers WHERE @turns",
    "DELETE FROM compared_turns WHERE @turns",
    "DELETE FROM knowledge_questions WHERE @turns",
    "UPDATE interim_messages SET key = 'forgotten-' || outbox_id WHERE @sends",
    "DELETE FROM send_failures WHERE @sends",
    # What was refused is dropped too: its words are gone, so it cannot be sent again.
    f"""UPDATE outbox SET body = '', quoted = '', message_id = '', payload = '{{}}',
        error = CASE error WHEN 'forgotten' THEN error ELSE '' END,
        state = CASE state WHEN '{SENT}' THEN '{SENT}' ELSE '{DROPPED}' END WHERE @turns""",
)
_DELETE_TURNS = _filled(
    "DELETE FROM responses WHERE @runs",
    "DELETE FROM usage WHERE @runs",
    "DELETE FROM tool_calls WHERE @turns",
    "DELETE FROM runs WHERE @turns",
    "DELETE FROM thread_items WHERE @turns",
    "DELETE FROM facts WHERE @turns",
    "DELETE FROM escalations WHERE @turns",
    "DELETE FROM candidate_answers WHERE @turns",
    "DELETE FROM compared_turns WHERE @turns",
    "DELETE FROM knowledge_questions WHERE @turns",
    "DELETE FROM stages WHERE @turns",
    "DELETE FROM interim_messages WHERE @sends",
    "DELETE FROM send_failures WHERE @sends",
    "DELETE FROM outbox WHERE @turns",
    "DELETE FROM turns WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:turns))",
)
_DELETE_SENDS = (
    f"UPDATE escalations SET outbox_id = NULL WHERE outbox_id IN {NUMBERS}",
    f"DELETE FROM interim_messages WHERE outbox_id IN {NUMBERS}",
    f"DELETE FROM outbox WHERE id IN {NUMBERS}",
)


def erase_turns(
    connection: Connection,
    turns: Sequence[int],
    name: str,
    data_dir: Path,
    *,
    channels: Collection[str],
    delete: bool,
    now: float,
) -> None:
    """Remove the words from these turns, their sends and their notes.

    ``channels`` are those on which an echo may have come. ``name`` begins the new ids. ``delete``:
    they are deleted with everything that belongs to them; their messages are gone already.
    """
    ids = json.dumps(list(turns))
    values: dict[str, object] = {"turns": ids, "now": now}
    # Notes for the agents about the person are about the person.
    notices = connection.execute(
        f"SELECT outbox_id FROM escalations WHERE outbox_id IS NOT NULL AND {_TURNS}",
        values,
    ).fetchall()
    rows = connection.execute(
        # With OR, PostgreSQL would read the whole outbox.
        f"SELECT message_id, payload FROM outbox WHERE {_TURNS}"
        " UNION SELECT message_id, payload FROM outbox"
        " WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each(:notices))",
        {**values, "notices": json.dumps([row[0] for row in notices])},
    ).fetchall()
    _delete_sent_files(connection, [row[1] for row in rows], ids, data_dir)
    sent = [(channel, row[0]) for row in rows if row[0] for channel in channels]
    _empty_echoes(connection, sent, name, data_dir)
    connection.executemany(
        "UPDATE outbox SET body = '', error = '', payload = '{}', message_id = '',"
        f" state = CASE state WHEN '{SENT}' THEN '{SENT}' ELSE '{DROPPED}' END WHERE id = ?",
        notices,
    )
    for statement in _DELETE_TURNS if delete else _EMPTY_TURNS:
        connection.execute(statement, values)


def rename_turns(connection: Connection, turns: Sequence[int], names: Names) -> None:
    """Replace the ids of emptied turns by anonymous ones."""
    for chat, name in names.items():
        connection.execute(
            f"UPDATE turns SET chat = ?, doubt = '' WHERE chat = ? AND id IN {NUMBERS}",
            (name, chat, json.dumps(list(turns))),
        )


def erase_sends(connection: Connection, rows: Sequence[int], names: Names, data_dir: Path) -> None:
    """Erase sends outside of turns: notices, operators' messages."""
    ids = json.dumps(list(rows))
    found = connection.execute(
        f"SELECT payload FROM outbox WHERE id IN {NUMBERS}",
        (ids,),
    ).fetchall()
    _delete_sent_files(connection, [row[0] for row in found], "[]", data_dir, besides=ids)
    connection.execute(
        f"DELETE FROM send_failures WHERE outbox_id IN {NUMBERS}",
        (ids,),
    )
    for chat, name in names.items():
        connection.execute(
            "UPDATE outbox SET chat = ?, body = '', quoted = '', message_id = '', payload = '{}',"
            " error = CASE error WHEN ? THEN error ELSE '' END,"
            f" state = CASE WHEN {OPEN_ROWS} THEN '{DROPPED}'"
            f" ELSE state END WHERE chat = ? AND id IN {NUMBERS}",
            (name, REASON, chat, ids),
        )
    if not names:
        for statement in _DELETE_SENDS:
            connection.execute(statement, (ids,))


def erase_messages(
    connection: Connection,
    seqs: Sequence[int],
    names: Names,
    name: str,
    data_dir: Path,
    *,
    delete: bool,
) -> Counter[str]:
    """Empty messages, or delete them, with their files; gives what that were.

    A message in a group stays there. They get new ids that begin with ``name``.
    """
    done: Counter[str] = Counter()
    numbers = (json.dumps(list(seqs)),)
    rows = connection.execute(
        "SELECT seq, channel, id, chat, kind, from_me, event_id FROM messages"
        f" WHERE seq IN {NUMBERS}",
        numbers,
    ).fetchall()
    keys = [(row[1], row[2]) for row in rows]
    drop_files(connection, keys, data_dir / MEDIA_FOLDER, reason=REASON)
    done["files"] = connection.executemany(
        "DELETE FROM media WHERE channel = ? AND message_id = ?", keys
    ).rowcount
    connection.executemany("DELETE FROM early_changes WHERE channel = ? AND target = ?", keys)
    erase_audit(connection, [row[2] for row in rows])
    done["messages"] = len(rows)
    # By one statement: each statement adds a part to SQLite's index of words.
    connection.execute(
        f"DELETE FROM search_texts WHERE source = 'in' AND number IN {NUMBERS}", numbers
    )
    if delete:
        drop_events(connection, [row[6] for row in rows], data_dir / EVENTS_FOLDER)
        connection.execute(f"DELETE FROM messages WHERE seq IN {NUMBERS}", numbers)
        return done
    for seq, channel, _, chat, kind, from_me, _ in rows:
        new_id, chat_now = f"{name}-{seq}", names.get(chat, chat)
        empty = Message(
            id=new_id,
            key=ChatKey(channel, chat_now),
            kind=kind,
            content=Other(),
            from_me=bool(from_me),
        )
        connection.execute(
            "UPDATE messages SET id = ?, chat = ?, message = ?, edited_at = NULL, earlier = '[]',"
            f" to_note = 0, state = CASE WHEN state IN ('{RECEIVED}', '{IN_TURN}', ?)"
            f" THEN '{IGNORED}' ELSE state END WHERE seq = ?",
            (new_id, chat_now, _json.encode(empty).decode(), WITH_AGENT, seq),
        )
    return done


def close_enquiries(connection: Connection, rows: Sequence[int]) -> None:
    """Keep no more of these than their figures."""
    connection.execute(f"{CLOSE_ENQUIRIES} {NUMBERS}", (json.dumps(list(rows)),))


def own_ids(
    connection: Connection, table: str, keys: Sequence[ChatKey], *, up_to: int, most: int
) -> list[int]:
    """The first rows of these chats that are left in a table that has their chat."""
    number = "seq" if table == "messages" else "id"
    whole = table in {"messages", "turns"}  # these have an index of the whole conversation
    condition = OF_CHAT if whole else "channel = ? AND chat = ?"
    for key in keys:
        rows = connection.execute(
            f"SELECT {number} FROM {table} WHERE {condition} AND {number} <= ?"
            f" ORDER BY {number} LIMIT ?",
            (*((joined_key(key),) if whole else key), up_to, most),
        ).fetchall()
        if rows:
            return [int(row[0]) for row in rows]
    return []


def _delete_sent_files(
    connection: Connection,
    payloads: Sequence[str],
    turns: str,
    data_dir: Path,
    *,
    besides: str = "[]",
) -> None:
    """Delete sent voice notes and files; one that is also queued for another chat stays."""
    names = {str(name) for name in (_file_of(payload) for payload in payloads) if name}
    for name in names:
        needed = connection.execute(
            f"SELECT 1 FROM outbox WHERE {OPEN_ROWS}"
            " AND kind NOT IN ('text', 'reaction') AND json_extract(payload, '$.file') = ?"
            f" AND COALESCE(turn_id, 0) NOT IN {NUMBERS}"
            f" AND id NOT IN {NUMBERS} LIMIT 1",
            (name, turns, besides),
        ).fetchone()
        if needed is None:
            discard(connection, data_dir / AUDIO_FOLDER, name)


def _file_of(payload: str) -> object:
    return msgspec.json.decode(payload).get("file") if payload != "{}" else None


def _empty_echoes(
    connection: Connection, sent: Sequence[tuple[str, str]], name: str, data_dir: Path
) -> None:
    """Empty the echoes of what is erased, which lie in groups and in the agents' chat."""
    for key in sent:
        row = connection.execute(
            "SELECT seq, event_id FROM messages WHERE channel = ? AND id = ?", key
        ).fetchone()
        if row is not None:
            drop_events(connection, [row[1]], data_dir / EVENTS_FOLDER)
            erase_messages(connection, [row[0]], {}, name, data_dir, delete=False)
