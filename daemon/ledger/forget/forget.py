"""Erasing one person or chat in slices, for `recado forget` and for retention.

Rows that are counted stay, without words and under an anonymous name; everything else is deleted.
From others' messages only the person's number is removed. A write takes milliseconds, and stores
how far the work has come: the next process that opens the store goes on. Each connection has
``secure_delete`` on, so deleted bytes are overwritten.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from daemon.domain.messages import JsonObject
from daemon.ledger.audit import erase_audit, write_audit
from daemon.ledger.drivers.port import CliConnection, Connection
from daemon.ledger.forget.jobs import Forgotten, cut, next_work
from daemon.ledger.forget.other_texts import called
from daemon.ledger.forget.stages import CUT, OVER, STAGE, Batch, Work, next_stage
from daemon.ledger.people import contact_key

WRITE_SECONDS = 0.01
"""How long one write may take; after a longer one, batches become smaller."""
LEAST_SHARE, MORE = 0.05, 1.2

NO_IDS: JsonObject = {"names": [], "keys": [], "called": [], "groups": [], "turns": []}
"""The subject of a work that is over."""


def look(connection: Connection, work: Work) -> Batch:
    """Find the next batch; changes nothing."""
    if work.stage in {CUT, OVER}:
        return Batch([work.stage])
    return STAGE[work.stage].look(connection, work)


def moved(work: Work, batch: Batch) -> Work:
    """A work after one batch, without its counts."""
    if batch.last:
        return replace(work, stage=next_stage(work), place=())
    return replace(work, place=batch.place)


def write(connection: Connection, work: Work, batch: Batch, *, now: float) -> Work:
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
    connection: Connection,
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


def _cut(connection: Connection, work: Work, now: float) -> Work:
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
    ids = {
        "names": person.names,
        "keys": person.keys,
        "called": names,
        "groups": person.groups,
        "turns": person.group_turns,
    }
    connection.execute(
        "UPDATE forgettings SET chats = ?, stage = ?, marks = ?, counts = ? WHERE id = ?",
        (json.dumps(ids), left.stage, json.dumps(marks), json.dumps(left.counts), left.id),
    )
    return left


def erase_traces(connection: Connection, work: Work) -> None:
    """Remove the person's ids from the work itself and from the audit: the last rows to be erased.

    Inside the caller's transaction.
    """
    erase_audit(connection, work.person.names)
    # A lid that was looked up during the first write; not one of a new contact.
    connection.executemany(
        "DELETE FROM aliases WHERE channel = ? AND chat = ? AND NOT EXISTS"
        " (SELECT 1 FROM chats WHERE channel = ? AND chat = ?)",
        [(*key, *key) for key in work.person.keys],
    )
    connection.execute(
        "UPDATE forgettings SET stage = ?, chats = ?, marks = '{}', place = '[]', counts = ?"
        " WHERE id = ?",
        (OVER, json.dumps(NO_IDS), json.dumps(work.counts), work.id),
    )


def close(connection: Connection, work: Work, *, now: float) -> None:
    """Note that the work is done, bytes included. Inside the caller's transaction."""
    if work.kind == "chat":
        connection.execute("DELETE FROM forgettings WHERE id = ?", (work.id,))
        return
    is_new = connection.execute(
        "UPDATE forgettings SET done_at = ? WHERE id = ? AND done_at IS NULL", (now, work.id)
    ).rowcount
    if is_new:
        done = Forgotten(name=work.name, **work.counts)
        write_audit(connection, work.by, "forget", work.name, after=done.summary(), now=now)


def slices(connection: CliConnection, name: str, data_dir: Path, *, now: float) -> Iterator[None]:
    """Do what was asked for, a slice at each step; no daemon may have the store meanwhile."""
    work = next_work(connection, data_dir, name=name)
    while work is not None and work.stage != OVER:
        batch = look(connection, work)
        if batch.rows:
            with connection.transaction():
                work = write(connection, work, batch, now=now)
        else:
            work = moved(work, batch)
        yield
    if work is None:
        return
    with connection.transaction():
        erase_traces(connection, work)
    begin = True
    while connection.text_index.purge(begin=begin):  # each statement is a transaction of its own
        begin = False
        yield
    connection.empty_log()
    with connection.transaction():
        close(connection, work, now=now)
