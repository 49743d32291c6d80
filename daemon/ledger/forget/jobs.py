"""Who is to be forgotten: the rows that say so, and how far each has come."""

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.domain.audit_chain import Actor
from daemon.domain.handover import WITH_AGENT
from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.admin.person import Person, keys_of, only, person_of
from daemon.ledger.drivers.port import Connection
from daemon.ledger.forget.other_texts import called, words_of
from daemon.ledger.forget.stages import knows_rows
from daemon.ledger.forget.work import Kind, Work

PREFIX = "forgotten-"
"""The rows of forgotten persons are of chats with such names."""

ALL = 2**62
"""More rows than a table has."""

_JOB = (
    "SELECT id, name, kind, chats, actor, address, asked_at, stage, place, marks, counts"
    " FROM forgettings"
)

_OLD = (
    "SELECT channel, chat FROM chats c WHERE last_activity_at < ?"  # noqa: S608 - constants
    " AND chat NOT GLOB 'forgotten-*'"
    " AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.channel = c.channel AND m.chat = c.chat"
    " AND m.state IN ('received', 'in_turn'))"
    " AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.channel = c.channel AND m.chat = c.chat"
    f" AND m.state = '{WITH_AGENT}')"
    " AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.channel = c.channel AND t.chat = c.chat"
    " AND t.state != 'done')"
    " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.channel = c.channel AND o.chat = c.chat"
    " AND o.state IN ('pending', 'sending', 'unknown'))"
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


def ask(connection: Connection, names: Sequence[str], *, by: Actor, now: float) -> str:
    """Note that a person is to be forgotten, inside the caller's transaction; gives the name.

    ``names``: the person's chat ids. From then on it will be done, whatever happens.
    """
    return _ask(connection, "person", names, keys_of(connection, names), by=by, now=now)


def ask_chat(connection: Connection, key: ChatKey, *, before: float, now: float) -> str:
    """Note that a chat is too old to be kept, inside the caller's transaction; gives the name.

    Empty if it is not any more: something has come since it was found.
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
    name = f"{PREFIX}{secrets.token_hex(8)}"
    connection.execute(
        "INSERT INTO forgettings (name, kind, chats, actor, address, asked_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (name, kind, json.dumps({"names": names, "keys": keys}), by.name, by.address, now),
    )
    return name


def next_work(connection: Connection, data_dir: Path, *, name: str = "") -> Work | None:
    """The oldest work that is not done, or that of a name; None if there is none. Reads only."""
    row = connection.execute(
        f"{_JOB} WHERE done_at IS NULL AND (?1 = '' OR name = ?1) ORDER BY id LIMIT 1",
        (name,),
    ).fetchone()
    if row is None:
        return None
    number, name, kind, whom, actor, address, asked_at, stage, place, marks, counts = row
    told, marks = json.loads(whom), json.loads(marks)
    keys = [ChatKey(*key) for key in told["keys"]]
    person = only(keys)
    if kind == "person":
        person = person_of(connection, told["names"], keys, up_to=marks.get("messages", ALL))
    if not knows_rows(stage):
        person = _as_kept(connection, person, number, told)
    return Work(
        id=number,
        name=name,
        kind=kind,
        by=Actor(name=actor, address=address),
        asked_at=asked_at,
        names={} if kind == "chat" else _called(name, told["names"]),
        stage=stage,
        place=tuple(json.loads(place)),
        marks=marks,
        counts=Counter(json.loads(counts)),
        person=person,
        words=words_of(connection, person, told.get("called") or called(connection, person), name),
        data_dir=data_dir,
    )


def _as_kept(connection: Connection, person: Person, job: int, told: JsonObject) -> Person:
    """What was known of the person before their rows were erased."""
    rows = connection.execute("SELECT id FROM forgetting_ids WHERE job = ?", (job,))
    return replace(
        person,
        groups=tuple(ChatKey(*key) for key in told["groups"]),
        group_turns=tuple(told["turns"]),
        message_ids=frozenset(str(row[0]) for row in rows),
    )


def _called(name: str, names: Sequence[str]) -> dict[str, str]:
    """A name for each chat id of the person: one channel may have rows of several of them."""
    return {chat: f"{name}-{place}" if place else name for place, chat in enumerate(names)}


def done_as(connection: Connection, name: str) -> Forgotten | None:
    """What was erased under a name; None while that is not over."""
    row = connection.execute(
        "SELECT counts FROM forgettings WHERE name = ? AND done_at IS NOT NULL", (name,)
    ).fetchone()
    return Forgotten(name=name, **json.loads(row[0])) if row else None
