"""Checkpoints are made beside the writes, also after a read that kept all of it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from support.place import sqlite_of, store_in
from support.process import until

from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.sqlite import database
from daemon.ledger.drivers.sqlite.checkpoints import (
    LEFT_TO_WRITER,
    LOG_BYTES,
    PAGES,
    Checkpointer,
)
from daemon.ledger.drivers.sqlite.database import connect, empty_log

pytestmark = pytest.mark.sqlite

PAGE = 4096


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The connection of a writer of a store that has one table."""
    with closing(connect(tmp_path / "store.db")) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE pages (bytes BLOB)")
        yield connection


def write(writer: sqlite3.Connection, pages: int) -> None:
    """Store so many pages in one transaction."""
    writer.execute("BEGIN IMMEDIATE")
    writer.executemany("INSERT INTO pages VALUES (?)", [(bytes(PAGE),)] * pages)
    writer.execute("COMMIT")


def log_of(path: Path) -> Path:
    """The log's file."""
    return path.with_name(f"{path.name}-wal")


def in_log(path: Path) -> int:
    """The pages of the log as it is now."""
    with closing(connect(path)) as connection:
        return int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


def test_what_a_long_read_kept_in_the_log_is_copied_beside_the_writer(
    tmp_path: Path, writer: sqlite3.Connection
) -> None:
    path = tmp_path / "store.db"
    by_writer: list[str] = []
    checkpointer = Checkpointer(connect(path), log_of(path))
    try:
        with closing(connect(path, read_only=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM pages").fetchone()
            writer.set_trace_callback(by_writer.append)
            for _ in range(10):
                write(writer, LEFT_TO_WRITER + 1)
                checkpointer.committed(writer, 1)
                checkpointer.checkpoint()
            assert not any("checkpoint" in statement for statement in by_writer)
        checkpointer.checkpoint()
        write(writer, 1)
        checkpointer.committed(writer, 1)
        assert sum("checkpoint" in statement for statement in by_writer) == 1
        write(writer, 1)
        assert in_log(path) < LEFT_TO_WRITER
    finally:
        checkpointer.end()


def test_the_file_of_a_large_log_shrinks_in_steps(
    tmp_path: Path, writer: sqlite3.Connection
) -> None:
    """Each step is cut in a COMMIT, for which webhooks wait."""
    path, pages, steps = tmp_path / "store.db", 3 * LOG_BYTES // PAGE, 3
    checkpointer = Checkpointer(connect(path), log_of(path))
    try:
        for _ in range(steps):  # nothing is copied meanwhile, as during a long read
            write(writer, pages // steps)
        sizes = [log_of(path).stat().st_size]
        while sizes[-1] > LOG_BYTES + PAGES * PAGE:
            checkpointer.committed(writer, PAGES)
            checkpointer.checkpoint()
            write(writer, 1)
            sizes.append(log_of(path).stat().st_size)
            assert 0 < sizes[-2] - sizes[-1] <= LOG_BYTES
        assert len(sizes) > steps - 1
    finally:
        checkpointer.end()


async def test_the_thread_makes_one_when_there_is_enough(
    tmp_path: Path, writer: sqlite3.Connection
) -> None:
    path = tmp_path / "store.db"
    before = path.stat().st_size
    checkpointer = Checkpointer(connect(path), log_of(path))
    try:
        write(writer, PAGES)
        assert path.stat().st_size == before
        checkpointer.committed(writer, PAGES)
        await until(lambda: path.stat().st_size >= before + PAGES * PAGE)
    finally:
        await trio.to_thread.run_sync(checkpointer.end)


async def test_no_commit_of_the_daemon_makes_one_by_itself(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        database = sqlite_of(store)
        row = database._connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        assert row[0] == 0


def test_the_log_is_not_held_while_a_long_read_needs_it(
    tmp_path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try to empty it would make the writer wait."""
    monkeypatch.setattr(database, "EMPTY_REST_SECONDS", 0.0)
    path = tmp_path / "store.db"
    tried: list[str] = []
    with closing(connect(path)) as connection:
        connection.set_trace_callback(tried.append)
        with closing(connect(path, read_only=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM pages").fetchone()
            write(writer, 1)
            with pytest.raises(StoreUnavailable, match="still holds"):
                empty_log(connection)
        assert not any("TRUNCATE" in statement for statement in tried)
        empty_log(connection)
        assert (tmp_path / "store.db-wal").stat().st_size == 0
