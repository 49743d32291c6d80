"""Erasing one person: what `recado forget` does.

Rows that are counted stay, without words and under a name that leads nowhere; everything else goes.
What others have said stays theirs, only the person's number is taken out of it. SQLite overwrites
nothing by itself, so at the end the file is written anew and its log is emptied.
"""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daemon.audit import Actor
from daemon.errors import StoreUnavailable
from daemon.handover import WITH_AGENT
from daemon.ledger import MEDIA_FOLDER
from daemon.model import ChatKey, Message, Other
from daemon.store.audit import erase_audit, write_audit
from daemon.store.database import transaction
from daemon.store.media import drop_files
from daemon.store.operator.group_words import erase_group_words
from daemon.store.operator.log_lines import erase_log_lines
from daemon.store.operator.person import Person, person_of
from daemon.store.operator.raw_events import drop_events, events_of, find_events
from daemon.store.operator.references import erase_references
from daemon.store.operator.sent_files import erase_sent_files

REASON = "forgotten"
PREFIX = "forgotten-"
"""Chats of this name are never written about again: see the triggers in ``0003_audit.sql``."""

CHECKPOINT_TRIES = 5
"""Each waits as long as the connection's busy timeout for readers of the daemon."""

_json = msgspec.json.Encoder()

_FREE_TEXT = {
    "messages": ("message", "earlier", "reason"),
    "thread_items": ("item",),
    "thread_heads": ("item",),
    "turns": ("reason",),
    "responses": ("response", "error", "note"),
    "tool_calls": ("arguments", "output"),
    "outbox": ("body", "error", "payload"),
    "early_changes": ("change",),
    "media": ("reason", "words", "words_error"),
    "early_statuses": ("error",),
    "send_failures": ("error",),
    "chats": ("name", "contact_name", "context_text"),
    "facts": ("fact",),
    "escalations": ("reason", "summary"),
    "events": ("unreadable",),
}
"""Where a number may have been written by somebody else, or by the model."""

_TABLES_BY_CHAT = frozenset({"messages", "turns", "outbox"})
"""In these the rows of forgotten persons may not be written to."""

_STATEMENTS = (
    "DELETE FROM early_changes WHERE chat = :chat OR author = :chat",
    # The turns' chat changes last: from then on nothing of them can be written.
    """UPDATE responses SET response_id = '', response = '', error = '', note = '',
        state = CASE state WHEN 'started' THEN 'failed' ELSE state END,
        ended_at = COALESCE(ended_at, :now) WHERE run_id IN (
        SELECT runs.id FROM runs JOIN turns ON turns.id = turn_id WHERE chat = :chat)""",
    """UPDATE tool_calls SET arguments = '{}', output = '', key = '',
        state = CASE state WHEN 'started' THEN 'failed' ELSE state END,
        ended_at = COALESCE(ended_at, :now)
        WHERE turn_id IN (SELECT id FROM turns WHERE chat = :chat)""",
    """UPDATE runs SET state = 'abandoned', ended_at = :now WHERE state = 'running'
        AND turn_id IN (SELECT id FROM turns WHERE chat = :chat)""",
    "DELETE FROM thread_items WHERE chat = :chat",
    "DELETE FROM thread_heads WHERE chat = :chat",
    "DELETE FROM facts WHERE chat = :chat",
    "DELETE FROM calls WHERE chat = :chat",
    # What the agents were told about the person is about the person.
    """UPDATE outbox SET body = '', error = '', payload = '{}',
        state = CASE state WHEN 'sent' THEN 'sent' ELSE 'dropped' END
        WHERE id IN (SELECT outbox_id FROM escalations
        JOIN turns ON turns.id = escalations.turn_id WHERE turns.chat = :chat)""",
    "DELETE FROM escalations WHERE turn_id IN (SELECT id FROM turns WHERE chat = :chat)",
    """UPDATE interim_messages SET key = 'forgotten-' || outbox_id WHERE outbox_id IN (
        SELECT id FROM outbox WHERE chat = :chat)""",
    "DELETE FROM send_failures WHERE outbox_id IN (SELECT id FROM outbox WHERE chat = :chat)",
    """UPDATE outbox SET chat = :name, body = '', quoted = '', message_id = '', payload = '{}',
        error = CASE WHEN state IN ('pending', 'sending', 'unknown') THEN :reason ELSE '' END,
        state = CASE WHEN state IN ('pending', 'sending', 'unknown') THEN 'dropped'
        ELSE state END WHERE chat = :chat""",
    """UPDATE chats SET chat = :name, name = '', contact_name = '', context_text = '',
        escalated_at = 0 WHERE chat = :chat""",
    "UPDATE usage_days SET chat = :name WHERE chat = :chat",
    "DELETE FROM aliases WHERE alias = :chat OR chat = :chat",
    """UPDATE turns SET chat = :name, closed_at = COALESCE(closed_at, :now),
        outcome = CASE state WHEN 'done' THEN outcome ELSE 'ignored' END,
        reason = CASE state WHEN 'done' THEN without(reason) ELSE :reason END, state = 'done'
        WHERE chat = :chat""",
)


@dataclass(slots=True)
class Forgotten:
    """What was erased, in numbers; ``name`` is what the person's rows are called now."""

    name: str
    chats: int = 0
    messages: int = 0
    turns: int = 0
    sends: int = 0
    events: int = 0
    """Webhook calls whose raw body is gone."""
    files: int = 0
    """Messages whose file is gone."""
    mentions: int = 0
    """Texts of others that named the person's number."""

    def summary(self) -> str:
        """The numbers in one line."""
        return (
            f"{self.messages} messages, {self.turns} turns, {self.sends} sends,"
            f" {self.events} raw events, {self.files} files, {self.mentions} mentions by others"
        )


def forget(
    connection: sqlite3.Connection, names: Sequence[str], folder: Path, *, by: Actor, now: float
) -> Forgotten:
    """Erase the person with these chat ids from all tables and from the files in ``folder``.

    ``now``: Unix seconds. Blocks the daemon's writes for the length of one transaction, and for
    that of writing the file anew. Raises StoreUnavailable if the bytes could not be taken out of
    the log; the rows are erased then.
    """
    connection.execute("PRAGMA secure_delete = ON")
    done = Forgotten(name=f"{PREFIX}{secrets.token_hex(8)}")
    person = person_of(connection, names)
    # The long look at all raw events comes before the transaction; the rest of them inside it.
    seen = find_events(connection, person, folder, after=0)
    with transaction(connection):
        person = person_of(connection, names)
        later = find_events(connection, person, folder, after=seen.last)
        _define_functions(connection, person, done.name)
        dropped = {*seen.ids, *later.ids}
        drop_events(connection, [seen, later], folder)
        done.files = _erase_files(connection, person, folder.parent / MEDIA_FOLDER)
        erase_log_lines(connection, person)
        erase_sent_files(connection, person, folder.parent)
        echoes = erase_group_words(connection, person, name=done.name, now=now)
        drop_events(connection, [events_of(connection, echoes)], folder)
        done.events = len(dropped.union(echoes))
        _erase_messages(connection, person, done)
        _erase_rows(connection, person, done, now)
        _take_out_number(connection, person, done)
        write_audit(connection, by, "forget", done.name, after=done.summary(), now=now)
    _overwrite(connection)
    return done


def _erase_files(connection: sqlite3.Connection, person: Person, folder: Path) -> int:
    """Delete the files that the person has sent, and the words in them; gives how many."""
    rows = connection.execute(
        "SELECT channel, message_id FROM media"
        " WHERE message_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(person.message_ids)),),
    )
    keys = [(row[0], row[1]) for row in rows]
    drop_files(connection, keys, folder, reason=REASON)
    connection.executemany("DELETE FROM media WHERE channel = ? AND message_id = ?", keys)
    return len(keys)


# -- rows ----------------------------------------------------------------------------------------


def _erase_messages(connection: sqlite3.Connection, person: Person, done: Forgotten) -> None:
    """Empty the person's messages, also those in groups; they get ids that nobody knows."""
    rows = connection.execute(
        "SELECT seq, channel, id, chat, kind, from_me, state FROM messages"
        " WHERE chat IN (SELECT value FROM json_each(:names))"
        " OR json_extract(message, '$.author') IN (SELECT value FROM json_each(:authors))"
        # The echoes of answers in groups, and of what the agents were told about the person.
        " OR id IN (SELECT value FROM json_each(:sent))",
        {
            "names": json.dumps(person.names),
            "authors": json.dumps(person.authors),
            "sent": json.dumps(sorted(person.sent_ids)),
        },
    ).fetchall()
    erase_references(connection, person)
    for row in rows:
        chat = _new_name(person, row["chat"], done) if row["chat"] in person.names else row["chat"]
        new_id = f"{done.name}-{row['seq']}"
        empty = Message(
            id=new_id,
            key=ChatKey(row["channel"], chat),
            kind=row["kind"],
            content=Other(),
            from_me=bool(row["from_me"]),
        )
        waits = row["state"] in {"received", "in_turn", WITH_AGENT}
        connection.execute(
            "UPDATE messages SET id = ?, chat = ?, message = ?, state = ?, reason ="
            " CASE WHEN ? THEN ? ELSE without(reason) END, edited_at = NULL, earlier = '[]',"
            " to_note = 0"
            " WHERE seq = ?",
            (
                new_id,
                chat,
                _json.encode(empty).decode(),
                "ignored" if waits else row["state"],
                waits,
                REASON,
                row["seq"],
            ),
        )
    _forget_ids(connection, person)
    done.messages = len(rows)


def _forget_ids(connection: sqlite3.Connection, person: Person) -> None:
    """Take the ids of the person's messages out of what refers to them."""
    ids = json.dumps(sorted(person.message_ids))
    connection.execute(
        "DELETE FROM early_changes WHERE target IN (SELECT value FROM json_each(?))", (ids,)
    )
    erase_audit(connection, [*person.names, *sorted(person.message_ids)])


def _erase_rows(
    connection: sqlite3.Connection, person: Person, done: Forgotten, now: float
) -> None:
    for table, counter in (("chats", "chats"), ("turns", "turns"), ("outbox", "sends")):
        count = connection.execute(
            f"SELECT COUNT(*) FROM {table} WHERE chat"  # noqa: S608 - constants
            " IN (SELECT value FROM json_each(?))",
            (json.dumps(person.names),),
        ).fetchone()[0]
        setattr(done, counter, count)
    for chat in person.names:
        parameters = {
            "chat": chat,
            "name": _new_name(person, chat, done),
            "now": now,
            "reason": REASON,
        }
        for statement in _STATEMENTS:
            connection.execute(statement, parameters)


def _new_name(person: Person, chat: str, done: Forgotten) -> str:
    """A name for each chat id of the person: one channel may have rows of several of them."""
    place = person.names.index(chat)
    return f"{done.name}-{place}" if place else done.name


def _define_functions(connection: sqlite3.Connection, person: Person, name: str) -> None:
    """Let SQL ask whether a text names the person, and take the number out of it."""

    def names_person(text: str) -> bool:
        return person.pattern.search(text) is not None

    def without(text: str) -> str:
        return person.pattern.sub(name, text)

    connection.create_function("names_person", 1, names_person, deterministic=True)
    connection.create_function("without", 1, without, deterministic=True)


def _take_out_number(connection: sqlite3.Connection, person: Person, done: Forgotten) -> None:
    """Replace the person's number wherever else it was written."""
    for table, columns in _FREE_TEXT.items():
        others = f" AND chat NOT GLOB '{PREFIX}*'" if table in _TABLES_BY_CHAT else ""
        for column in columns:
            seen = " OR ".join(f"instr({column}, ?)" for _ in person.needles)
            done.mentions += connection.execute(
                f"UPDATE {table} SET {column} = without({column})"  # noqa: S608 - constants
                f" WHERE ({seen}) AND names_person({column}){others}",
                person.needles,
            ).rowcount


# -- bytes ---------------------------------------------------------------------------------------


def _overwrite(connection: sqlite3.Connection) -> None:
    """Write the file anew without what was deleted, and empty its log."""
    try:
        connection.execute("VACUUM")
        for _ in range(CHECKPOINT_TRIES):
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy:
                return
        fault = "the daemon kept reading"
    except sqlite3.OperationalError as error:
        fault = str(error)
    raise StoreUnavailable(
        f"the rows are erased, but their bytes are not overwritten yet ({fault}): run the command"
        " again"
    )
