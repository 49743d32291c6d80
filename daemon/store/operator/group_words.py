"""What a person has said in groups, and what was said about them there: found, and taken out.

A turn in which the person has spoken is erased as a whole, with all that we answered: it was about
them. Of our other words in such groups the person's names are taken out, and what repeats a message
of theirs. What other people have said stays theirs; only their quotations of the person go.
"""

import json
import sqlite3

from daemon.observe.redaction import mask_numbers
from daemon.prompt.data import TAG
from daemon.store.echoes import ECHO
from daemon.store.operator.person import Person
from daemon.store.operator.repeated_words import RepeatedWords

_NOTED = (
    "DROP TABLE IF EXISTS temp.spoken_turns",
    "DROP TABLE IF EXISTS temp.spoken_groups",
    "CREATE TEMP TABLE spoken_turns AS SELECT value AS id FROM json_each(:turns)",
    """CREATE TEMP TABLE spoken_groups AS SELECT DISTINCT chat FROM messages
        WHERE chat GLOB '*@g.us'
        AND json_extract(message, '$.author') IN (SELECT value FROM json_each(:authors))""",
)
"""The turns and groups in which the person has spoken."""

_STATEMENTS = (
    # A turn under way gets a chat that nothing more is written about, last of all. What was
    # refused is dropped too: nothing is left of it that could be sent again.
    """UPDATE responses SET response_id = '', response = '', error = '', note = '',
        state = CASE state WHEN 'started' THEN 'failed' ELSE state END,
        ended_at = COALESCE(ended_at, :now)
        WHERE run_id IN (SELECT id FROM runs WHERE turn_id IN (SELECT id FROM spoken_turns))""",
    """UPDATE tool_calls SET arguments = '{}', output = '', key = '',
        state = CASE state WHEN 'started' THEN 'failed' ELSE state END,
        ended_at = COALESCE(ended_at, :now) WHERE turn_id IN (SELECT id FROM spoken_turns)""",
    """UPDATE runs SET state = 'abandoned', ended_at = :now
        WHERE state = 'running' AND turn_id IN (SELECT id FROM spoken_turns)""",
    "DELETE FROM thread_items WHERE turn_id IN (SELECT id FROM spoken_turns)",
    "DELETE FROM facts WHERE turn_id IN (SELECT id FROM spoken_turns)",
    """UPDATE outbox SET body = '', error = '', payload = '{}', message_id = '',
        state = CASE state WHEN 'sent' THEN 'sent' ELSE 'dropped' END
        WHERE id IN (SELECT outbox_id FROM escalations
        WHERE turn_id IN (SELECT id FROM spoken_turns))""",
    "DELETE FROM escalations WHERE turn_id IN (SELECT id FROM spoken_turns)",
    """UPDATE interim_messages SET key = 'forgotten-' || outbox_id WHERE outbox_id IN (
        SELECT id FROM outbox WHERE turn_id IN (SELECT id FROM spoken_turns))""",
    """DELETE FROM send_failures WHERE outbox_id IN (
        SELECT id FROM outbox WHERE turn_id IN (SELECT id FROM spoken_turns))""",
    """UPDATE outbox SET body = '', quoted = '', message_id = '', payload = '{}', error = '',
        chat = CASE WHEN state IN ('pending', 'sending', 'unknown') THEN :name ELSE chat END,
        state = CASE state WHEN 'sent' THEN 'sent' ELSE 'dropped' END
        WHERE turn_id IN (SELECT id FROM spoken_turns) AND chat NOT GLOB 'forgotten-*'""",
    # What others have said in a turn under way waits again.
    """UPDATE messages SET state = 'received', turn_id = NULL WHERE state = 'in_turn'
        AND turn_id IN (SELECT id FROM spoken_turns) AND json_extract(message, '$.author') NOT IN (
        SELECT value FROM json_each(:authors))""",
    """UPDATE turns SET chat = :name, closed_at = COALESCE(closed_at, :now),
        outcome = 'ignored', reason = 'forgotten', state = 'done'
        WHERE state != 'done' AND id IN (SELECT id FROM spoken_turns)""",
    # Older parts of such a thread, which are told in a few words, may tell of the person too.
    "DELETE FROM thread_heads WHERE chat IN (SELECT chat FROM spoken_groups)",
    """DELETE FROM thread_items WHERE chat IN (SELECT chat FROM spoken_groups)
        AND EXISTS (SELECT 1 FROM json_each(:labels) WHERE instr(item, value))""",
)
_IN_GROUPS = "chat IN (SELECT chat FROM spoken_groups)"
_OF_TURNS = f"turn_id IN (SELECT id FROM turns WHERE {_IN_GROUPS})"  # noqa: S608 - a constant
_NOT_SAID = f"(item ->> '$.role' IS NOT 'user' OR item ->> '$.content' GLOB '<{TAG} *')"
"""Items of a thread that are our own words or notes, and no message of a customer."""
_OUR_WORDS = (
    ("outbox", ("body", "payload"), _IN_GROUPS),
    ("facts", ("fact",), _IN_GROUPS),
    ("chats", ("contact_name",), _IN_GROUPS),
    ("messages", ("message",), f"from_me = 1 AND reason = '{ECHO}' AND {_IN_GROUPS}"),
    ("thread_items", ("item",), f"{_NOT_SAID} AND {_IN_GROUPS}"),
    ("responses", ("response", "note"), f"run_id IN (SELECT id FROM runs WHERE {_OF_TURNS})"),  # noqa: S608 - a constant
    ("tool_calls", ("arguments", "output"), _OF_TURNS),
    ("escalations", ("reason", "summary"), _OF_TURNS),
)
"""Where we have written: tables, columns, and which rows are of those groups."""


def erase_group_words(
    connection: sqlite3.Connection, person: Person, *, name: str, now: float
) -> list[int]:
    """Erase what the person has said in groups, and what we have said to and about them there.

    Gives the webhook calls that brought echoes of such words. ``name`` takes the place of the
    person's names. Comes before the person's messages are emptied, inside the caller's transaction.
    """
    words = _words_of(connection, person, name)
    connection.create_function("our_words", 1, words.taken_out, deterministic=True)
    connection.create_function("their_words", 1, words.unquoted, deterministic=True)
    values = {
        "authors": json.dumps(person.authors),
        "labels": json.dumps(sorted({mask_numbers(n.partition("@")[0]) for n in person.names})),
        "name": name,
        "now": now,
        "turns": json.dumps(person.group_turns),
    }
    for statement in (*_NOTED, *_STATEMENTS):
        connection.execute(statement, values)
    echoes = connection.execute(
        "SELECT event_id FROM messages WHERE from_me = 1 AND reason = ?"
        " AND chat IN (SELECT chat FROM spoken_groups) AND our_words(message) != message",
        (ECHO,),
    ).fetchall()
    for table, columns, where in _OUR_WORDS:
        for column in columns:
            connection.execute(
                f"UPDATE {table} SET {column} = our_words({column})"  # noqa: S608 - constants
                f" WHERE our_words({column}) != {column} AND {where}"
            )
    connection.execute(
        "UPDATE thread_items SET item = their_words(item) WHERE their_words(item) != item"
        " AND chat IN (SELECT chat FROM spoken_groups)"
    )
    return [int(row[0]) for row in echoes]


def _words_of(connection: sqlite3.Connection, person: Person, name: str) -> RepeatedWords:
    """The person's names, and what they have said in groups."""
    rows = connection.execute(
        "SELECT json_extract(message, '$.author_name'), json_extract(message, '$.content.body'),"
        " json_extract(message, '$.content.caption'), media.words FROM messages"
        " LEFT JOIN media ON media.channel = messages.channel AND message_id = messages.id"
        " WHERE from_me = 0"
        " AND json_extract(message, '$.author') IN (SELECT value FROM json_each(?))",
        (json.dumps(person.authors),),
    ).fetchall()
    known = connection.execute(
        "SELECT name, contact_name FROM chats WHERE chat IN (SELECT value FROM json_each(?))",
        (json.dumps(person.names),),
    ).fetchall()
    return RepeatedWords(
        names=[
            str(value) for row in (*known, *(row[:1] for row in rows)) for value in row if value
        ],
        passages=[str(value) for row in rows for value in row[1:] if value],
        instead=name,
    )
