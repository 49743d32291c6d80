"""The stages of forgetting, in their order: what each looks for, and what it does to what it finds.

A look reads; a write changes one batch, in milliseconds. Each can be repeated: a crash between the
two loses nothing. What the model is sent is erased first; the ids that later stages need are kept
for them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from daemon.domain.audit_chain import Actor
from daemon.domain.ids import GROUPS_GLOB
from daemon.ledger.admin.person import Person
from daemon.ledger.drivers.port import Connection, marks
from daemon.ledger.files import BODY_BYTES
from daemon.ledger.forget.other_texts import (
    ECHOES,
    KINDS,
    MENTIONS,
    OURS,
    RepeatedWords,
    mentions_in,
    our_words_in,
    references_in,
    rewrite,
    rewrite_thread,
)
from daemon.ledger.forget.own_rows import (
    EVENTS_FOLDER,
    close_enquiries,
    drop_events,
    erase_messages,
    erase_sends,
    erase_turns,
    find_events,
    own_ids,
    rename_turns,
)

Kind = Literal["person", "chat"]
"""A person who is forgotten, or a chat that is only too old: only its rows go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One forgetting, as far as it has come."""

    id: int
    name: str
    """The new name of the person's rows."""
    kind: Kind
    by: Actor
    asked_at: float
    names: Mapping[str, str]
    """By chat id: what the chat is called afterwards. Empty if its rows are deleted."""
    stage: str
    """``cut``, or one of `STAGES`."""
    place: tuple[Any, ...]
    """Where the next look of the stage begins; its form depends on the stage."""
    marks: Mapping[str, int]
    """The last row of each table that is the person's, once they are cut off."""
    counts: Counter[str]
    person: Person
    words: RepeatedWords
    data_dir: Path
    share: float = 1.0
    """Share of the most rows that one write may change: smaller on a slow disk."""

    def most(self, rows: int) -> int:
        """The number of rows, out of so many, that the next write may change."""
        return max(1, int(rows * self.share))

    @property
    def deletes(self) -> bool:
        """True if rows go; False if they stay without words."""
        return self.kind == "chat"


class Batch(NamedTuple):
    """The rows found by one search."""

    rows: Sequence[Any]
    place: tuple[Any, ...] = ()
    last: bool = False
    """True if the stage is over with it."""


@dataclass(frozen=True, slots=True)
class ForgetStage:
    """One stage: a look, and the write that follows it."""

    name: str
    look: Callable[[Connection, Work], Batch]
    write: Callable[[Connection, Work, Sequence[Any], float], Counter[str]]
    held: bool = False
    """The daemon starts no task for the person's chats and groups before it is over."""
    for_chats: bool = False
    """True if a chat that is only too old has it too."""


WINDOW = 4_000
"""Rows looked at in one read."""
MESSAGES, TURNS, ITEMS, IDS, ENQUIRIES = 40, 8, 100, 500, 20
"""Rows changed in one write at most: together with their indexes some milliseconds of work."""


def _look_ids(_connection: Connection, work: Work) -> Batch:
    (after,) = work.place or ("",)
    left = [one for one in sorted(work.person.message_ids) if one > after][:IDS]
    return Batch(left, (left[-1],) if left else (), last=not left)


def _keep_ids(connection: Connection, work: Work, rows: Sequence[str], _now: float) -> Counter[str]:
    connection.executemany(
        "INSERT INTO forgetting_ids (job, id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(work.id, row) for row in rows],
    )
    return Counter()


def _look_kept_ids(connection: Connection, work: Work) -> Batch:
    rows = connection.execute(
        "SELECT id FROM forgetting_ids WHERE job = ? LIMIT ?", (work.id, IDS)
    ).fetchall()
    return Batch([str(row[0]) for row in rows], last=not rows)


def _drop_ids(connection: Connection, work: Work, rows: Sequence[str], _now: float) -> Counter[str]:
    connection.executemany(
        "DELETE FROM forgetting_ids WHERE job = ? AND id = ?", [(work.id, row) for row in rows]
    )
    return Counter()


def _own(table: str, most: int) -> Callable[[Connection, Work], Batch]:
    """A look for the next rows of the person's own chats in a table."""

    def look(connection: Connection, work: Work) -> Batch:
        # A work of an earlier version may be beyond a stage that is new.
        keys, up_to = work.person.keys, work.marks.get(table, 0)
        rows = own_ids(connection, table, keys, up_to=up_to, most=work.most(most))
        return Batch(rows, last=not rows)

    return look


def _delete(table: str) -> Callable[[Connection, Work, Sequence[int], float], Counter[str]]:
    """A write that deletes rows of a table by their ids."""

    def delete(
        connection: Connection, _work: Work, rows: Sequence[int], _now: float
    ) -> Counter[str]:
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(row,) for row in rows])
        return Counter()

    return delete


# -- what the model is sent ------------------------------------------------------------------------


def _look_group_threads(connection: Connection, work: Work) -> Batch:
    group, after = work.place or (0, 0)
    if group >= len(work.person.groups):
        return Batch([], last=True)
    found, more = rewrite_thread(
        connection,
        work.person.groups[group],
        work.person,
        work.words,
        after=after,
        up_to=work.marks["thread_items"],
        most=work.most(ITEMS),
    )
    return Batch(found, (group, more) if more else (group + 1, 0))


def _rewrite_group_threads(
    connection: Connection, _work: Work, rows: Sequence[tuple[int, str]], _now: float
) -> Counter[str]:
    for number, item in rows:
        if item:
            connection.execute("UPDATE thread_items SET item = ? WHERE id = ?", (item, number))
        else:
            connection.execute("DELETE FROM thread_items WHERE id = ?", (number,))
    return Counter()


# -- texts by others, and the raw bodies -----------------------------------------------------------


def _look_events(connection: Connection, work: Work) -> Batch:
    (after,) = work.place or (0,)
    found, last = find_events(
        connection,
        work.person,
        work.data_dir / EVENTS_FOLDER,
        after=after,
        up_to=work.marks["events"],
        most_bytes=work.most(BODY_BYTES),
    )
    return Batch(found, (last,), last=not last)


def _drop_events(
    connection: Connection, work: Work, rows: Sequence[int], _now: float
) -> Counter[str]:
    return Counter(events=drop_events(connection, rows, work.data_dir / EVENTS_FOLDER))


def _look_references(connection: Connection, work: Work) -> Batch:
    (after,) = work.place or (0,)
    found, more = references_in(
        connection,
        work.person,
        after=after,
        up_to=work.marks["messages"],
        window=WINDOW,
        most=work.most(ITEMS),
    )
    return Batch(found, (more,), last=more is None)


def _drop_references(
    connection: Connection, _work: Work, rows: Sequence[tuple[int, str]], _now: float
) -> Counter[str]:
    connection.executemany(
        "UPDATE messages SET message = ? WHERE seq = ?", [(text, seq) for seq, text in rows]
    )
    return Counter()


def _look_mentions(connection: Connection, work: Work) -> Batch:
    table, after = work.place or (0, 0)
    if table >= len(MENTIONS):
        return Batch([], last=True)
    found, more = mentions_in(
        connection,
        MENTIONS[table],
        work.person,
        after=after,
        window=WINDOW,
        most=work.most(MESSAGES),
    )
    place = (table + 1, 0) if more is None else (table, more)
    return Batch([(table, *key) for key in found], place)


def _drop_mentions(
    connection: Connection, work: Work, rows: Sequence[tuple[Any, ...]], _now: float
) -> Counter[str]:
    def change(text: str) -> str:
        return work.person.pattern.sub(work.name, text)

    mentions = 0
    for table, *key in rows:
        mentions += rewrite(connection, MENTIONS[table], [key], change)
    return Counter(mentions=mentions)


# -- our own words in groups -----------------------------------------------------------------------


def _look_group_words(connection: Connection, work: Work) -> Batch:
    group, kind, after = work.place or (0, 0, 0)
    if group >= len(work.person.groups):
        return Batch([], last=True)
    key = work.person.groups[group]
    found, more = our_words_in(
        connection, key, work.words.taken_out, kind=kind, after=after, most=work.most(MESSAGES)
    )
    if more is not None:
        return Batch(found, (group, kind, more))
    if kind + 1 < KINDS:
        return Batch(found, (group, kind + 1, 0))
    return Batch([*found, (len(OURS) - 1, *key)], (group + 1, 0, 0))


def _rewrite_group_words(
    connection: Connection, work: Work, rows: Sequence[tuple[Any, ...]], _now: float
) -> Counter[str]:
    done: Counter[str] = Counter()
    for table, *key in rows:
        changed = rewrite(connection, OURS[table], [key], work.words.taken_out)
        if changed and table == ECHOES:
            (event,) = connection.execute(
                "SELECT event_id FROM messages WHERE seq = ?", key
            ).fetchone()
            done["events"] += drop_events(connection, [event], work.data_dir / EVENTS_FOLDER)
    return done


def _look_group_turns(_connection: Connection, work: Work) -> Batch:
    (after,) = work.place or (0,)
    left = [turn for turn in work.person.group_turns if turn > after][: work.most(TURNS)]
    return Batch(left, (left[-1],) if left else (), last=not left)


def _empty_group_turns(
    connection: Connection, work: Work, rows: Sequence[int], now: float
) -> Counter[str]:
    _empty_or_delete(connection, work, rows, now)
    return Counter()


def _empty_or_delete(connection: Connection, work: Work, turns: Sequence[int], now: float) -> None:
    erase_turns(
        connection,
        turns,
        work.name,
        work.data_dir,
        channels={key.number for key in work.person.keys},
        delete=work.deletes,
        now=now,
    )


# -- the person's own rows -------------------------------------------------------------------------


def _look_messages(connection: Connection, work: Work) -> Batch:
    up_to = work.marks["messages"]
    rows = own_ids(connection, "messages", work.person.keys, up_to=up_to, most=work.most(MESSAGES))
    for author in work.person.authors if not rows and not work.deletes else ():
        found = connection.execute(
            f"SELECT seq FROM messages WHERE chat GLOB '{GROUPS_GLOB}'"
            " AND author = ? AND seq <= ? ORDER BY seq LIMIT ?",
            (author, up_to, work.most(MESSAGES)),
        ).fetchall()
        rows = rows or [int(row[0]) for row in found]
    return Batch(rows, last=not rows)


def _erase_messages(
    connection: Connection, work: Work, rows: Sequence[int], _now: float
) -> Counter[str]:
    return erase_messages(
        connection, rows, work.names, work.name, work.data_dir, delete=work.deletes
    )


def _erase_turns(
    connection: Connection, work: Work, rows: Sequence[int], now: float
) -> Counter[str]:
    sends = connection.execute(
        f"SELECT COUNT(*) FROM outbox WHERE turn_id IN ({marks(rows)})",
        rows,
    ).fetchone()[0]
    _empty_or_delete(connection, work, rows, now)
    rename_turns(connection, rows, work.names)
    return Counter(turns=len(rows), sends=sends)


def _erase_sends(
    connection: Connection, work: Work, rows: Sequence[int], _now: float
) -> Counter[str]:
    alone = connection.execute(
        f"SELECT COUNT(*) FROM outbox WHERE turn_id IS NULL AND id IN ({marks(rows)})",
        rows,
    ).fetchone()[0]
    erase_sends(connection, rows, work.names, work.data_dir)
    return Counter(sends=alone)


def _close_enquiries(
    connection: Connection, _work: Work, rows: Sequence[int], _now: float
) -> Counter[str]:
    close_enquiries(connection, rows)
    return Counter()


def _look_lines(connection: Connection, work: Work) -> Batch:
    """Lines of the live log, in the person's chats and in groups in which they have written."""
    rows: list[int] = []
    for key in (*work.person.keys, *work.person.groups):
        found = connection.execute(
            "SELECT id FROM log_lines WHERE chat = ? AND channel = ? AND at <= ? LIMIT ?",
            (key.chat, key.number, work.asked_at, ITEMS),
        ).fetchall()
        rows = rows or [int(row[0]) for row in found]
    return Batch(rows, last=not rows)


def _look_webhooks(connection: Connection, work: Work) -> Batch:
    """Outgoing webhooks about the person's chats, and about what they wrote in groups."""
    rows: list[int] = []
    for key in work.person.keys:
        found = connection.execute(
            "SELECT id FROM webhook_deliveries WHERE channel = ? AND chat = ?"
            " AND created_at <= ? LIMIT ?",
            (*key, work.asked_at, ITEMS),
        ).fetchall()
        rows = rows or [int(row[0]) for row in found]
    named = " OR ".join(["payload LIKE '%' || ? || '%'"] * len(work.person.needles)) or "1 = 0"
    for key in work.person.groups if not rows else ():
        found = connection.execute(
            "SELECT id FROM webhook_deliveries WHERE channel = ? AND chat = ?"
            f" AND created_at <= ? AND ({named}) LIMIT ?",
            (*key, work.asked_at, *work.person.needles, ITEMS),
        ).fetchall()
        rows = rows or [int(row[0]) for row in found]
    return Batch(rows, last=not rows)


STAGES = (
    ForgetStage("ids", _look_ids, _keep_ids, held=True),
    ForgetStage(
        "thread", _own("thread_items", ITEMS), _delete("thread_items"), held=True, for_chats=True
    ),
    ForgetStage("group threads", _look_group_threads, _rewrite_group_threads, held=True),
    ForgetStage("group words", _look_group_words, _rewrite_group_words, held=True),
    ForgetStage("messages", _look_messages, _erase_messages, held=True, for_chats=True),
    ForgetStage("webhooks", _look_webhooks, _delete("webhook_deliveries"), for_chats=True),
    ForgetStage("events", _look_events, _drop_events),
    ForgetStage("references", _look_references, _drop_references),
    ForgetStage("group turns", _look_group_turns, _empty_group_turns),
    ForgetStage("turns", _own("turns", TURNS), _erase_turns, for_chats=True),
    ForgetStage("sends", _own("outbox", MESSAGES), _erase_sends, for_chats=True),
    ForgetStage("enquiries", _own("enquiries", ENQUIRIES), _close_enquiries, for_chats=True),
    ForgetStage("mentions", _look_mentions, _drop_mentions),
    ForgetStage("log", _look_lines, _delete("log_lines"), for_chats=True),
    ForgetStage("kept ids", _look_kept_ids, _drop_ids),
)
STAGE = {stage.name: stage for stage in STAGES}

CUT = "cut"
"""Before all stages: see `daemon.ledger.forget.jobs`."""
OVER = "over"
"""After all of them, until the bytes are gone too."""


def next_stage(work: Work) -> str:
    """The stage after the present one of a work."""
    names = [stage.name for stage in STAGES if stage.for_chats or not work.deletes]
    at = names.index(work.stage) + 1 if work.stage != CUT else 0
    return names[at] if at < len(names) else OVER


def is_held(work: Work) -> bool:
    """True while no task may work on the person's chats and groups."""
    return work.stage == CUT or (work.stage != OVER and STAGE[work.stage].held)


def knows_rows(work_stage: str) -> bool:
    """True while the person's own rows have their ids and words."""
    return work_stage in {CUT, "ids"}
