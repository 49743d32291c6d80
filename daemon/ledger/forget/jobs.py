"""Jobs of forgetting: who is to be forgotten, how far that has come, and the first write."""

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.states import (
    ABANDONED,
    DROPPED,
    FAILED,
    IGNORED,
    IN_TURN,
    RECEIVED,
    RUNNING,
    SENT,
    STARTED,
    TURN_DONE,
    WAITING,
    WITH_AGENT,
)
from daemon.ledger.admin.person import Person, keys_of, only, person_of
from daemon.ledger.drivers.port import Connection
from daemon.ledger.forget.other_texts import called, words_of
from daemon.ledger.forget.own_rows import CLOSE_ENQUIRIES, REASON
from daemon.ledger.forget.stages import CUT, ENQUIRIES, OVER, STAGE, Kind, Work, knows_rows
from daemon.ledger.messages import UNANSWERED
from daemon.ledger.outbox import OPEN_ROWS
from daemon.ledger.people import FORGOTTEN, bury

ALL = 2**62
"""More rows than a table has."""

_JOB = (
    "SELECT id, name, kind, chats, actor, address, asked_at, stage, place, marks, counts"
    " FROM forgettings"
)

_OLD = (
    "SELECT channel, chat FROM chats c WHERE last_activity_at < ?"
    " AND chat NOT GLOB 'forgotten-*'"
    " AND NOT EXISTS (SELECT 1 FROM messages m"
    " WHERE m.channel || '/' || m.chat = c.channel || '/' || c.chat AND m.seq >= (SELECT MIN(o.seq)"
    f" FROM messages o WHERE o.channel = c.channel AND o.{UNANSWERED}) AND m.{UNANSWERED})"
    " AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.channel = c.channel AND m.chat = c.chat"
    f" AND m.state = '{WITH_AGENT}')"
    " AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.channel = c.channel AND t.chat = c.chat"
    f" AND t.state != '{TURN_DONE}')"
    " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.channel = c.channel AND o.chat = c.chat"
    f" AND o.{OPEN_ROWS})"
    " AND NOT EXISTS (SELECT 1 FROM reminders r WHERE r.channel = c.channel AND r.chat = c.chat"
    f" AND r.state = '{WAITING}')"
)


@dataclass(slots=True)
class Forgotten:
    """The counts of erased rows; ``name`` is the new name of the person's rows."""

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


def ask(connection: Connection, names: Sequence[str], *, by: Actor, now: float) -> str:
    """Note that a person is to be forgotten, inside the caller's transaction; gives the name.

    ``names``: the person's chat ids. From then on it will be done, whatever happens.
    """
    return _ask(connection, "person", names, keys_of(connection, names), by=by, now=now)


def ask_chat(connection: Connection, key: ChatKey, *, before: float, now: float) -> str:
    """Note that a chat is too old to be kept, inside the caller's transaction; gives the name.

    Empty if something has come there since it was found.
    """
    if not connection.execute(f"{_OLD} AND channel = ? AND chat = ?", (before, *key)).fetchone():
        return ""
    return _ask(connection, "chat", [key.chat], [key], by=Actor(name=""), now=now)


def old_chats(connection: Connection, *, before: float, most: int) -> tuple[ChatKey, ...]:
    """Chats whose last message came before a time (Unix seconds), and in which nothing is open."""
    rows = connection.execute(f"{_OLD} ORDER BY last_activity_at LIMIT ?", (before, most))
    return tuple(ChatKey(*row) for row in rows)


def _ask(
    connection: Connection,
    kind: Kind,
    names: Sequence[str],
    keys: Sequence[ChatKey],
    *,
    by: Actor,
    now: float,
) -> str:
    chats = json.dumps({"names": names, "keys": keys})
    known = connection.execute(
        "SELECT name FROM forgettings WHERE done_at IS NULL AND kind = ? AND chats = ?",
        (kind, chats),
    ).fetchone()
    if known:
        return str(known[0])
    name = f"{FORGOTTEN}{secrets.token_hex(8)}"
    connection.execute(
        "INSERT INTO forgettings (name, kind, chats, actor, address, asked_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (name, kind, chats, by.name, by.address, now),
    )
    return name


def next_work(connection: Connection, data_dir: Path, *, name: str = "") -> Work | None:
    """The oldest work that is not done, or that of a name; None if there is none. Reads only."""
    row = connection.execute(
        f"{_JOB} WHERE done_at IS NULL AND (? = '' OR name = ?) ORDER BY id LIMIT 1",
        (name, name),
    ).fetchone()
    if row is None:
        return None
    number, name, kind, ids_json, actor, address, asked_at, stage, place, marks, counts = row
    stored, marks = json.loads(ids_json), json.loads(marks)
    keys = [ChatKey(*key) for key in stored["keys"]]
    person = only(keys)
    if kind == "person":
        person = person_of(connection, stored["names"], keys, up_to=marks.get("messages", ALL))
    if not knows_rows(stage):
        person = _as_kept(connection, person, number, stored)
    return Work(
        id=number,
        name=name,
        kind=kind,
        by=Actor(name=actor, address=address),
        asked_at=asked_at,
        names={} if kind == "chat" else _called(name, stored["names"]),
        stage=stage,
        place=tuple(json.loads(place)),
        marks=marks,
        counts=Counter(json.loads(counts)),
        person=person,
        words=words_of(
            connection, person, stored.get("called") or called(connection, person), name
        ),
        data_dir=data_dir,
    )


def _as_kept(connection: Connection, person: Person, job: int, stored: JsonObject) -> Person:
    """The person as stored before their rows were erased."""
    rows = connection.execute("SELECT id FROM forgetting_ids WHERE job = ?", (job,))
    return replace(
        person,
        groups=tuple(ChatKey(*key) for key in stored["groups"]),
        group_turns=tuple(stored["turns"]),
        message_ids=frozenset(str(row[0]) for row in rows),
    )


def _called(name: str, names: Sequence[str]) -> dict[str, str]:
    """A name for each chat id of the person: one channel may have rows of several of them."""
    return {chat: f"{name}-{place}" if place else name for place, chat in enumerate(names)}


def progress_of(connection: Connection, name: str) -> tuple[int, int, str]:
    """How far the work under a name has come: stages that are over, all of them, the present."""
    row = connection.execute(
        "SELECT stage FROM forgettings WHERE name = ? AND done_at IS NULL", (name,)
    ).fetchone()
    stages = [CUT, *STAGE, OVER]
    return (stages.index(row[0]), len(stages), row[0]) if row else (len(stages), len(stages), "")


def done_as(connection: Connection, name: str) -> Forgotten | None:
    """The counts of what was erased under a name; None before the end."""
    row = connection.execute(
        "SELECT counts FROM forgettings WHERE name = ? AND done_at IS NOT NULL", (name,)
    ).fetchone()
    return Forgotten(name=name, **json.loads(row[0])) if row else None


# The first write of forgetting. It is small, however much there is: it closes what is open, drops
# the head of the person's threads, and removes the name from the rows by which a chat is found.
# A later message from that number is a new contact's. The daemon has ended the tasks of
# these chats before, so nothing of theirs is written after it.


_MARKS = {
    "messages": "seq",
    **dict.fromkeys(("turns", "outbox", "thread_items", "events", "log_lines", "enquiries"), "id"),
}

_OPEN_TURN = (
    f"""UPDATE responses SET state = '{FAILED}', ended_at = :now WHERE state = '{STARTED}'
        AND run_id IN (SELECT id FROM runs WHERE turn_id = :turn)""",
    f"""UPDATE tool_calls SET state = '{FAILED}', ended_at = :now
        WHERE state = '{STARTED}' AND turn_id = :turn""",
    f"""UPDATE runs SET state = '{ABANDONED}', ended_at = :now
        WHERE state = '{RUNNING}' AND turn_id = :turn""",
    # Messages of others in a turn of a group wait again.
    f"""UPDATE messages SET state = '{RECEIVED}', turn_id = NULL WHERE state = '{IN_TURN}'
        AND turn_id = :turn AND :in_group = 1 AND author NOT IN (
        SELECT value FROM json_each(:authors))""",
    f"""UPDATE outbox SET chat = CASE WHEN :in_group = 1 THEN :name ELSE chat END,
        state = '{DROPPED}', error = :reason WHERE {OPEN_ROWS} AND turn_id = :turn""",
    f"""UPDATE turns SET closed_at = COALESCE(closed_at, :now), outcome = '{IGNORED}',
        reason = :reason, state = '{TURN_DONE}',
        chat = CASE WHEN :in_group = 1 THEN :name ELSE chat END WHERE id = :turn""",
)
_CLOSE = (
    f"UPDATE messages SET state = '{IGNORED}', reason = :reason, to_note = 0"
    " WHERE channel = :channel"
)
_OPEN = (
    # Each has an index of its own.
    f"""{_CLOSE} AND channel || '/' || chat = :channel || '/' || :chat AND {UNANSWERED}
        AND seq >= (SELECT MIN(o.seq) FROM messages o WHERE o.channel = :channel
        AND o.{UNANSWERED})""",
    f"{_CLOSE} AND chat = :chat AND state = '{WITH_AGENT}'",
    "UPDATE messages SET to_note = 0 WHERE channel = :channel AND chat = :chat AND to_note = 1",
)
_BY_AUTHOR = " AND author IN (SELECT value FROM json_each(:authors))"
_OWN_CHAT = (
    *_OPEN,
    f"""UPDATE outbox SET state = '{DROPPED}', error = :reason WHERE channel = :channel
        AND chat = :chat AND {OPEN_ROWS}""",
    "DELETE FROM thread_heads WHERE channel = :channel AND chat = :chat",
    "DELETE FROM facts WHERE channel = :channel AND chat = :chat",
    "DELETE FROM calls WHERE channel = :channel AND chat = :chat",
    "DELETE FROM commands WHERE number = :channel AND chat = :chat",
    "DELETE FROM reminders WHERE channel = :channel AND chat = :chat",
    # Those that a later message could go on with or reopen; a stage does the others.
    f"""{CLOSE_ENQUIRIES} (SELECT id FROM enquiries WHERE channel = :channel AND chat = :chat
        ORDER BY id DESC LIMIT {ENQUIRIES})""",
    "DELETE FROM notes WHERE channel = :channel AND chat = :chat",
    "DELETE FROM early_changes WHERE channel = :channel AND chat = :chat",
    # An escalation stays marked as sent: its turn is erased later than this.
    """DELETE FROM notifications WHERE channel = :channel AND chat = :chat
        AND reason != 'escalation'""",
    f"""UPDATE notifications SET channel = '', chat = '', line = '', state = '{SENT}'
        WHERE channel = :channel AND chat = :chat""",
)
_ALIASES = (
    "DELETE FROM aliases WHERE channel = :channel AND alias = :chat",
    "DELETE FROM aliases WHERE channel = :channel AND chat = :chat",
)
_RENAME = (
    """UPDATE chats SET chat = :name, name = '', contact_name = '', context_text = '',
        escalated_at = 0, overdue_at = 0, assigned_to = NULL, unread_at = 0, labels = ''
        WHERE channel = :channel AND chat = :chat""",
    "UPDATE usage_days SET chat = :name WHERE channel = :channel AND chat = :chat",
    *_ALIASES,
)
_DELETE = (
    "DELETE FROM chats WHERE channel = :channel AND chat = :chat",
    "DELETE FROM usage_days WHERE channel = :channel AND chat = :chat",
    *_ALIASES,
)


def cut(
    connection: Connection,
    person: Person,
    names: Mapping[str, str],
    name: str,
    *,
    contact: bytes,
    now: float,
) -> tuple[dict[str, int], int]:
    """Do the first write, inside the caller's transaction.

    Gives the last row of each table that is theirs, since later ones are a new contact's; and how
    many chats there were. ``names`` are the new ids of these; empty: they are deleted.
    """
    marks = {
        table: connection.execute(f"SELECT COALESCE(MAX({number}), 0) FROM {table}").fetchone()[0]
        for table, number in _MARKS.items()
    }
    values = {
        "now": now,
        "reason": REASON,
        "name": name,
        "authors": json.dumps(person.authors),
    }
    spoken = set(person.group_turns)
    for key in (*person.keys, *person.groups):
        row = connection.execute(
            f"SELECT id FROM turns WHERE channel = ? AND chat = ? AND state != '{TURN_DONE}'", key
        ).fetchone()
        in_group = key in person.groups
        if row is not None and (row[0] in spoken or not in_group):
            for statement in _OPEN_TURN:
                connection.execute(statement, {**values, "turn": row[0], "in_group": in_group})
    for key in person.groups:
        # The summary of an older part of such a thread may name the person too.
        connection.execute("DELETE FROM thread_heads WHERE channel = ? AND chat = ?", key)
        for statement in _OPEN:
            of_group = {**values, "channel": key.number, "chat": key.chat}
            connection.execute(statement + _BY_AUTHOR, of_group)
        connection.executemany(
            "DELETE FROM early_changes WHERE channel = ? AND chat = ? AND author = ?",
            [(*key, author) for author in person.authors],
        )
    bury(connection, contact, person.keys, forgotten_at=now if names else 0)
    chats = 0
    for key in person.keys:
        chats += connection.execute(
            "SELECT COUNT(*) FROM chats WHERE channel = ? AND chat = ?", key
        ).fetchone()[0]
        of_chat = {**values, "channel": key.number, "chat": key.chat}
        for statement in (*_OWN_CHAT, *(_RENAME if names else _DELETE)):
            connection.execute(statement, {**of_chat, "name": names.get(key.chat, name)})
    return marks, chats
