"""The rows of the audit in the store: chained as they are written, chained anew if they are old."""

import contextlib
import sqlite3
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
import trio
from support.forgetting import forget
from support.ledgers import LAURA, OPERATOR, accept, message
from support.place import cli_connection, store_in
from support.rows import select

from daemon.domain.audit_chain import Head
from daemon.ledger.audit import audit_rows, verify_audit
from daemon.ledger.ledger import Store

BEFORE_CHAIN = 18
"""The version of a store whose audit is no chain yet."""


async def test_rows_of_all_writers_are_chained(store: Store) -> None:
    await accept(store, message("m-1"))
    async with trio.open_nursery() as nursery:
        for number in range(20):
            write = partial(store.audit.write, OPERATOR, "reveal", f"chat-{number}", now=number)
            nursery.start_soon(write)
    await store.operator_actions.pause(LAURA.chat, 900.0, by=OPERATOR, now=100)
    await store.operator_actions.give_back(LAURA.chat, by=OPERATOR, now=200)
    verified = await store.database.read(verify_audit)
    assert (verified.rows, verified.fault) == (22, "")
    rows = await store.database.read(lambda connection: list(audit_rows(connection, since=100)))
    assert [(row.action, row.before, row.after) for row in rows] == [
        ("pause", "", "paused until 900"),
        ("resume", "paused until 900", ""),
    ]
    assert await store.audit.head() == Head(id=22, hash=rows[-1].hash)


async def test_forgetting_erases_the_subject_and_not_the_row(store: Store, tmp_path: Path) -> None:
    await accept(store, message("m-1"))
    await store.audit.write(OPERATOR, "export", LAURA.chat, now=1)
    await store.audit.write(OPERATOR, "replay", "m-1", before="was dead", now=2)
    await store.audit.write(OPERATOR, "backup", "/srv/copy.db", now=3)
    with cli_connection(tmp_path) as connection:
        done = forget(connection, [LAURA.chat], tmp_path, by=OPERATOR, now=4)
    verified = await store.database.read(verify_audit)
    assert (verified.rows, verified.erased, verified.fault) == (4, 2, "")
    assert select(store, "audit_details", "subject", order="audit_id") == [
        ("/srv/copy.db",),
        (done.name,),
    ]


@pytest.mark.sqlite
async def test_rows_of_an_older_store_become_the_beginning_of_the_chain(tmp_path: Path) -> None:
    steps = sorted(
        (step for step in resources.files("daemon.ledger.migrations").iterdir()),
        key=lambda step: step.name,
    )
    old = [
        (3, 10.5, "dashboard.pause", LAURA.chat, "until 99"),
        (7, 11.25, "forget", "forgotten-1", "3 messages"),
    ]
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        for step in steps:
            if step.name.endswith(".sql") and int(step.name[:4]) <= BEFORE_CHAIN:
                connection.executescript(step.read_text("utf-8"))
        connection.executemany(
            "INSERT INTO audit (id, at, command, subject, detail) VALUES (?, ?, ?, ?, ?)", old
        )
        connection.execute(f"PRAGMA user_version = {BEFORE_CHAIN}")
        connection.commit()
    async with store_in(tmp_path) as store:
        await store.audit.write(OPERATOR, "login", now=12)
        assert (await store.database.read(verify_audit)).fault == ""
        rows = await store.database.read(lambda connection: list(audit_rows(connection)))
        assert [(row.id, row.at, row.action, row.subject, row.after) for row in rows] == [
            (1, *old[0][1:]),
            (2, *old[1][1:]),
            (3, 12, "login", "", ""),
        ]
        assert [row.actor.name for row in rows] == ["", "", OPERATOR.name]
