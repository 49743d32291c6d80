"""Erasing one person, in slices: what `recado forget` does, and retention to chats.

Rows that are counted stay, without words and under a name that leads nowhere; everything else goes.
What others have said stays theirs, only the person's number is taken out of it. No write takes
longer than some milliseconds, and after each the store says how far it has come: whoever opens it
next goes on. Deleted bytes are overwritten by ``secure_delete``, which each connection has on.
"""

import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.audit import Actor
from daemon.handover import WITH_AGENT
from daemon.model import ChatKey, JsonObject
from daemon.store.audit import erase_audit, write_audit
from daemon.store.consents import contact_key
from daemon.store.database import empty_log, transaction
from daemon.store.operator.cut import cut
from daemon.store.operator.person import Person, keys_of, only, person_of
from daemon.store.operator.stages import CUT, OVER, STAGE, Batch, Kind, Work, knows_rows, next_stage
from daemon.store.operator.texts_of_others import called, words_of

PREFIX = "forgotten-"
"""The rows of forgotten persons are of chats with such names."""

WRITE_SECONDS = 0.01
"""What one write may take of the store's time; it takes less from then on if it took more."""
LEAST_SHARE, MORE = 0.05, 1.2

ALL = 2**62
"""More rows than a table has."""

NOBODY: JsonObject = {"names": [], "keys": [], "called": [], "groups": [], "turns": []}
"""Whom a work is about that is over."""

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


# -- jobs ------------------------------------------------------------------------------------------


def ask(connection: sqlite3.Connection, names: Sequence[str], *, by: Actor, now: float) -> str:
    """Note that a person is to be forgotten, inside the caller's transaction; gives the name.

    ``names``: the person's chat ids. From then on it will be done, whatever happens.
    """
    return _ask(connection, "person", names, keys_of(connection, names), by=by, now=now)


def ask_chat(connection: sqlite3.Connection, key: ChatKey, *, before: float, now: float) -> str:
    """Note that a chat is too old to be kept, inside the caller's transaction; gives the name.

    Empty if it is not any more: something has come since it was found.
    """
    if not connection.execute(f"{_OLD} AND channel = ? AND chat = ?", (before, *key)).fetchone():
        return ""
    return _ask(connection, "chat", [key.chat], [key], by=Actor(name=""), now=now)


def old_chats(connection: sqlite3.Connection, *, before: float, most: int) -> tuple[ChatKey, ...]:
    """Chats whose last message came before a time (Unix seconds), and in which nothing is open."""
    rows = connection.execute(f"{_OLD} ORDER BY last_activity_at LIMIT ?", (before, most))
    return tuple(ChatKey(*row) for row in rows)


def _ask(
    connection: sqlite3.Connection,
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


def next_work(connection: sqlite3.Connection, data_dir: Path, *, name: str = "") -> Work | None:
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


def _as_kept(connection: sqlite3.Connection, person: Person, job: int, told: JsonObject) -> Person:
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


def done_as(connection: sqlite3.Connection, name: str) -> Forgotten | None:
    """What was erased under a name; None while that is not over."""
    row = connection.execute(
        "SELECT counts FROM forgettings WHERE name = ? AND done_at IS NOT NULL", (name,)
    ).fetchone()
    return Forgotten(name=name, **json.loads(row[0])) if row else None


# -- slices ----------------------------------------------------------------------------------------


def look(connection: sqlite3.Connection, work: Work) -> Batch:
    """Find the next batch; changes nothing."""
    if work.stage in {CUT, OVER}:
        return Batch([work.stage])
    return STAGE[work.stage].look(connection, work)


def moved(work: Work, batch: Batch) -> Work:
    """A work after one batch, without its counts."""
    if batch.last:
        return replace(work, stage=next_stage(work), place=())
    return replace(work, place=batch.place)


def write(connection: sqlite3.Connection, work: Work, batch: Batch, *, now: float) -> Work:
    """Erase one batch, and note how far it has come. Inside the caller's transaction.

    A batch without rows need not be written. ``now``: Unix seconds.
    """
    if work.stage == CUT:
        return _cut(connection, work, now)
    done = STAGE[work.stage].write(connection, work, batch.rows, now)
    left = replace(moved(work, batch), counts=work.counts + done)
    connection.execute(
        "UPDATE forgettings SET stage = ?, place = ?, counts = ? WHERE id = ?",
        (left.stage, json.dumps(left.place), json.dumps(left.counts), left.id),
    )
    return left


def write_paced(
    connection: sqlite3.Connection,
    work: Work,
    batch: Batch,
    *,
    now: float,
    clock: Callable[[], float],
) -> Work:
    """`write`; the next one is smaller if this one held the store for long, by ``clock``."""
    began = clock()
    left = write(connection, work, batch, now=now)
    if clock() - began > WRITE_SECONDS:
        return replace(left, share=max(left.share / 2, LEAST_SHARE))
    return replace(left, share=min(left.share * MORE, 1.0))


def _cut(connection: sqlite3.Connection, work: Work, now: float) -> Work:
    person = work.person
    names = called(connection, person)
    marks, chats = cut(
        connection,
        person,
        work.names,
        work.name,
        contact=contact_key(work.data_dir),
        now=now,
    )
    left = replace(
        work, stage=next_stage(work), marks=marks, counts=work.counts + Counter(chats=chats)
    )
    whom = {
        "names": person.names,
        "keys": person.keys,
        "called": names,
        "groups": person.groups,
        "turns": person.group_turns,
    }
    connection.execute(
        "UPDATE forgettings SET chats = ?, stage = ?, marks = ?, counts = ? WHERE id = ?",
        (json.dumps(whom), left.stage, json.dumps(marks), json.dumps(left.counts), left.id),
    )
    return left


def let_go(connection: sqlite3.Connection, work: Work) -> None:
    """Take the person's ids out of the work itself, and out of what tells of operators' actions.

    The last rows to be erased. Inside the caller's transaction.
    """
    erase_audit(connection, work.person.names)
    # A lid that was looked up when the person was cut off; not one of somebody who is new.
    connection.executemany(
        "DELETE FROM aliases WHERE channel = ?1 AND chat = ?2 AND NOT EXISTS"
        " (SELECT 1 FROM chats WHERE channel = ?1 AND chat = ?2)",
        work.person.keys,
    )
    connection.execute(
        "UPDATE forgettings SET stage = ?, chats = ?, marks = '{}', place = '[]', counts = ?"
        " WHERE id = ?",
        (OVER, json.dumps(NOBODY), json.dumps(work.counts), work.id),
    )


def close(connection: sqlite3.Connection, work: Work, *, now: float) -> None:
    """Note that it is over, when the bytes are gone too. Inside the caller's transaction."""
    if work.kind == "chat":
        connection.execute("DELETE FROM forgettings WHERE id = ?", (work.id,))
        return
    connection.execute("UPDATE forgettings SET done_at = ? WHERE id = ?", (now, work.id))
    done = Forgotten(name=work.name, **work.counts)
    write_audit(connection, work.by, "forget", work.name, after=done.summary(), now=now)


def forget(
    connection: sqlite3.Connection, names: Sequence[str], data_dir: Path, *, by: Actor, now: float
) -> Forgotten:
    """Erase the person with these chat ids from all tables and from the files in ``data_dir``.

    For a store that no daemon has open: no task of it may be at work on the person. ``now``: Unix
    seconds. Raises StoreUnavailable if the bytes could not be taken out of the log; the rows are
    erased then.
    """
    with transaction(connection):
        name = ask(connection, names, by=by, now=now)
    carry_out(connection, name, data_dir, now=now)
    done = done_as(connection, name)
    assert done is not None  # noqa: S101 - it was carried out
    return done


def carry_out(connection: sqlite3.Connection, name: str, data_dir: Path, *, now: float) -> None:
    """Do what was asked for, from where it was left; see `forget`."""
    for _ in slices(connection, name, data_dir, now=now):
        pass


def slices(
    connection: sqlite3.Connection, name: str, data_dir: Path, *, now: float
) -> Iterator[None]:
    """Do what was asked for, a slice at each step; no daemon may have the store meanwhile."""
    connection.execute("PRAGMA secure_delete = ON")
    work = next_work(connection, data_dir, name=name)
    while work is not None and work.stage != OVER:
        batch = look(connection, work)
        if batch.rows:
            with transaction(connection):
                work = write(connection, work, batch, now=now)
        else:
            work = moved(work, batch)
        yield
    if work is None:
        return
    with transaction(connection):
        let_go(connection, work)
    empty_log(connection)
    with transaction(connection):
        close(connection, work, now=now)
