"""Opening a store: a new one, an old one, a later one, and what is no store at all."""

import contextlib
import sqlite3
import stat
import time
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest
import trio
from support.ledgers import accept, message, message_state, queued
from support.rows import select
from support.stage import open_stage

from daemon.domain.messages import ChatKey
from daemon.errors import StoreDamaged, StoreUnavailable
from daemon.ledger.drivers.sqlite import soundness
from daemon.ledger.ledger import Store, open_store

pytestmark = pytest.mark.sqlite

PAGE = 4096
BEFORE_CARDS = 17
"""The version of a store in which neither cards nor polls could be sent."""
BEFORE_COLUMNS = 26
"""The version of a store whose messages had no columns for searches."""


def opened(folder: Path) -> contextlib.AbstractAsyncContextManager[Store, bool | None]:
    """The ledger of a folder, whose file and tables are made if they are missing."""
    return open_store(folder, url="", clock=time.perf_counter)


async def _stored(folder: Path) -> None:
    """Make a store with a few hundred messages, and close it."""
    async with opened(folder) as store:
        await accept(store, *(message(f"m-{n}", "Hola " * 20) for n in range(300)))


def _steps() -> list[Traversable]:
    folder = resources.files("daemon.ledger.migrations")
    return [step for step in folder.iterdir() if step.name.endswith(".sql")]


async def _refused(folder: Path, words: str) -> None:
    with pytest.raises(StoreDamaged, match=words):
        async with opened(folder):
            raise AssertionError("it should not have opened")


def test_each_step_has_a_number_of_its_own() -> None:
    """With one number twice, a store that has the one step would never get the other."""
    numbers = sorted(int(step.name[:4]) for step in _steps())
    assert numbers == list(range(1, len(numbers) + 1))


async def asked(store: Store, sql: str) -> list[tuple[Any, ...]]:
    """What a reader of the store gives for a statement of SQLite's."""
    return await store.database.read(lambda connection: connection.execute(sql).fetchall())


async def test_a_new_store_has_all_tables_and_can_be_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    latest = max(int(step.name[:4]) for step in _steps())
    async with opened(folder) as store:
        assert await asked(store, "PRAGMA user_version") == [(latest,)]
        assert await asked(store, "PRAGMA journal_mode") == [("wal",)]
        tables = await asked(store, "SELECT sql FROM sqlite_schema ORDER BY name")
        await accept(store, message("m-1"))
    for _ in range(2):
        async with opened(folder) as store:
            assert await asked(store, "SELECT sql FROM sqlite_schema ORDER BY name") == tables
            assert message_state(store, "m-1") == ("received", "")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_an_older_store_keeps_the_types_of_its_messages(tmp_path: Path) -> None:
    """The column of their kinds is made anew, also for rows that may not be written to any more."""
    rows = [("573001234567@s.whatsapp.net", "voice"), ("forgotten-1", "list"), ("1@g.us", "text")]
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        for step in sorted(_steps(), key=lambda step: step.name):
            if int(step.name[:4]) <= BEFORE_CARDS:
                connection.executescript(step.read_text("utf-8"))
        connection.executemany(
            "INSERT INTO outbox (channel, chat, body, state, created_at, kind)"
            " VALUES ('c', ?, '', 'sent', 1, ?)",
            rows,
        )
        connection.execute(f"PRAGMA user_version = {BEFORE_CARDS}")
        connection.commit()
    async with opened(tmp_path) as store:
        assert select(store, "outbox", "chat, kind", order="id") == rows
        assert await store.outbox.open_rows(ChatKey("c", "forgotten-1")) == ()
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        connection.execute("UPDATE outbox SET kind = 'poll' WHERE chat = '1@g.us'")
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute("UPDATE outbox SET kind = 'dance' WHERE chat = '1@g.us'")


async def test_an_older_stores_messages_have_the_columns_for_searches(tmp_path: Path) -> None:
    rows = [
        ("1", '{"author":"573001234567","content":{"type":"text","body":"Hola"}}'),
        ("2", '{"content":{"type":"media","medium":"image","caption":"Mira"}}'),
        ("3", '{"author":"5","content":{"type":"location","latitude":4.6,"longitude":-74.1}}'),
    ]
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        for step in sorted(_steps(), key=lambda step: step.name):
            if int(step.name[:4]) <= BEFORE_COLUMNS:
                connection.create_function("audit_digest", 4, lambda *_: "")
                connection.create_function("audit_chained", 4, lambda *_: "")
                connection.executescript(step.read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {BEFORE_COLUMNS}")
        connection.execute(
            "INSERT INTO events (id, received_at, channel, event) VALUES (1, 0, '', '')"
        )
        connection.executemany(
            "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
            " received_at, state) VALUES ('', ?, 'c', 1, 'text', 0, ?, 0, 0, 'ignored')",
            rows,
        )
        connection.commit()
    async with opened(tmp_path) as store:
        found = await asked(store, "SELECT author, content_type, words FROM messages ORDER BY id")
    assert found == [
        ("573001234567", "text", "Hola"),
        (None, "media", "Mira"),
        ("5", "location", ""),
    ]


async def test_each_step_that_brings_a_store_up_to_date_is_logged(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "recado.db")) as connection:
        connection.create_function("audit_digest", 4, lambda *_: "")
        connection.create_function("audit_chained", 4, lambda *_: "")
        for step in sorted(_steps(), key=lambda step: step.name):
            if int(step.name[:4]) <= BEFORE_COLUMNS:
                connection.executescript(step.read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {BEFORE_COLUMNS}")
    steps = max(int(step.name[:4]) for step in _steps()) - BEFORE_COLUMNS
    async with open_stage(tmp_path / "data") as stage:
        logged = stage.events("the store is brought up to date")
        assert [(line["step"], line["of"]) for line in logged] == [
            (number, steps) for number in range(1, steps + 1)
        ]
        assert logged[0]["to"] == f"version {BEFORE_COLUMNS + 1}"
        await stage.stop()
        await stage.start()
        assert len(stage.events("the store is brought up to date")) == steps


async def test_a_close_leaves_one_file_with_everything_in_it(tmp_path: Path) -> None:
    await _stored(tmp_path)
    assert not (tmp_path / "recado.db-wal").exists() or not (
        (tmp_path / "recado.db-wal").stat().st_size
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (300,)


async def test_a_store_of_a_later_recado_is_refused_untouched(tmp_path: Path) -> None:
    await _stored(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        connection.execute("PRAGMA user_version = 9000")
    await _refused(tmp_path, "version 9000.*later")
    with contextlib.closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (9000,)


@pytest.mark.parametrize("page", [2, 5, 9])
async def test_a_damaged_file_is_refused(tmp_path: Path, page: int) -> None:
    await _stored(tmp_path)
    with (tmp_path / "recado.db").open("r+b") as file:
        file.seek((page - 1) * PAGE)
        flipped = bytes(byte ^ 0xFF for byte in file.read(PAGE))
        file.seek((page - 1) * PAGE)
        file.write(flipped)
    await _refused(tmp_path, "damaged|malformed")


async def test_a_large_file_is_checked_while_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage that is found ends its use, and the next start checks first."""
    await _stored(tmp_path)
    file = tmp_path / "recado.db"
    sound = file.read_bytes()
    monkeypatch.setattr(soundness, "CHECKED_FIRST_BYTES", 0)
    async with opened(tmp_path) as store:
        pass  # the check has not begun, and is given up
    monkeypatch.setattr(soundness, "LATER_SECONDS", 0)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'messages_told'"
        ).fetchone()
    with file.open("r+b") as content:
        content.seek((root - 1) * PAGE + 8)
        content.write(b"\xff" * 64)
    with trio.fail_after(60):
        try:
            async with opened(tmp_path) as store:
                await store.database.failed.wait()
                found = store.database.fatal_error
        except StoreUnavailable as error:  # it was found before the store was open
            found = str(error)
    assert "is damaged" in found
    await _refused(tmp_path, "damaged")
    file.write_bytes(sound)
    async with opened(tmp_path) as store:
        assert not (tmp_path / "recado.damaged").exists()


async def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    await _stored(tmp_path)
    file = tmp_path / "recado.db"
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size // 2 // PAGE * PAGE)
    await _refused(tmp_path, "damaged|malformed")


async def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "recado.db"
    words = b"This is a letter to my aunt, not a database. " * 100
    file.write_bytes(words)
    await _refused(tmp_path, "not a database")
    assert file.read_bytes() == words


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    await _refused(tmp_path / "data", "cannot create .*/data")


async def test_tables_of_another_program_are_refused_and_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "recado.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE messages (words TEXT)")
    await _refused(tmp_path, "already exists")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        assert tables == [("messages",)]


async def test_a_send_under_way_when_the_process_ended_is_of_unknown_outcome(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        first, _ = await queued(store, "uno", "dos")
        await store.outbox.sending(first, now=103)
    async with opened(tmp_path) as store:
        rows = await store.outbox.open_rows(first.key)
        assert [(row.body, row.state, row.attempts) for row in rows] == [
            ("uno", "unknown", 1),
            ("dos", "pending", 0),
        ]
        assert await store.outbox.repair() == 0
