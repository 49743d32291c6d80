"""What the store does when the disk fails it: a full one, a broken one, a damaged file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.ledgers import accept, events, held_writer, hold, insert_event, message
from support.place import sqlite_of, store_in
from support.rows import select
from trio.testing import wait_all_tasks_blocked

from daemon.errors import StoreUnavailable
from daemon.ledger.ledger import Store

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]

BROKEN_DISK = """
import json, os, resource, sys, time
from pathlib import Path

import trio

from daemon.errors import StoreUnavailable
from daemon.domain.messages import ChatKey, Message, Text, Webhook
from daemon.ledger.ledger import open_store

KEY = ChatKey("c", "573001234567@s.whatsapp.net")
report = {"accepted": [], "refused": []}


async def accept(store, name):
    message = Message(id=name, key=KEY, kind="text", content=Text(body="x" * 20_000))
    webhook = Webhook(channel="c", event="messages.post", messages=(message,))
    try:
        await store.inbox.accept(webhook, b"{}", verdicts=[""], now=1, pause_until=0)
    except StoreUnavailable as error:
        report["refused"].append([name, str(error)])
    else:
        report["accepted"].append(name)


async def main(folder):
    async with open_store(folder, clock=time.perf_counter) as store:
        await accept(store, "before")
        log = folder / "recado.db-wal"
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 4096, limit[1]))
        await accept(store, "while broken")
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        report["failed"] = store.database.failed.is_set()
        report["fault"] = store.database.fatal_error
        await accept(store, "after")
    print(json.dumps(report))


trio.run(main, Path(sys.argv[1]))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - found as mount was


async def _fill(store: Store) -> list[str]:
    """Accept messages until the store refuses one; gives the accepted ones."""
    accepted: list[str] = []
    for number in range(1000):
        try:
            await accept(store, message(f"m-{number}", "x" * 20_000))
        except StoreUnavailable as error:
            assert "SQLITE_FULL" in str(error)  # noqa: PT017 - the error is one of many tries'
            return accepted
        accepted.append(f"m-{number}")
    raise AssertionError("the disk does not become full")


async def _stored(store: Store) -> list[str]:
    return [row[0] for row in select(store, "messages", "id", order="seq")]


async def test_a_full_disk_refuses_writes_until_there_is_room(small_disk: Path) -> None:
    """A full disk costs the writes made on it and nothing else, and heals by itself."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    with trio.fail_after(30):
        async with store_in(small_disk / "data") as store:
            accepted = await _fill(store)
            assert accepted
            assert await _stored(store) == accepted
            assert not store.database.fatal_error
            assert not store.database.failed.is_set()
            ballast.unlink()
            await accept(store, message("after"))
            assert await _stored(store) == [*accepted, "after"]
        async with store_in(small_disk / "data") as store:
            assert await _stored(store) == [*accepted, "after"]


async def test_a_full_database_refuses_writes_until_there_is_room(store: Store) -> None:
    """The same without a file system of our own: SQLite's own limit gives the same error."""
    (pages,) = sqlite_of(store)._connection.execute("PRAGMA page_count").fetchone()
    sqlite_of(store)._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    accepted = await _fill(store)
    assert accepted
    assert not store.database.fatal_error
    assert "full" in store.database.last_write_error
    with pytest.raises(StoreUnavailable):
        await store.database.probe()
    sqlite_of(store)._connection.execute("PRAGMA max_page_count = 1000000")
    await store.database.probe()
    assert not store.database.last_write_error
    await accept(store, message("after"))
    assert await _stored(store) == [*accepted, "after"]


async def test_after_an_io_error_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    """A failed write or fsync may have lost pages: only a new process may go on."""
    result = await trio.to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "-c", BROKEN_DISK, str(tmp_path)],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=180,
        )
    )
    assert result.returncode == 0, result.stderr.decode()
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["accepted"] == ["before"]
    assert report["failed"] is True
    assert "SQLITE_IOERR" in report["fault"]
    assert report["refused"] == [[name, report["fault"]] for name in ("while broken", "after")]
    async with store_in(tmp_path) as store:
        assert await _stored(store) == ["before"]
        await accept(store, message("in a new process"))


async def test_writes_that_waited_while_the_store_failed_are_refused(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """They come after a commit that failed for good, though each would succeed by itself."""
    refused: list[str] = []

    async def write(store: Store, name: str) -> None:
        try:
            await store.database.write(insert_event(name))
        except StoreUnavailable:
            refused.append(name)

    with trio.fail_after(60), held_writer() as held:
        async with store_in(tmp_path) as store:
            await hold(sqlite_of(store), held, nursery)
            async with trio.open_nursery() as writers:
                writers.start_soon(write, store, "waiting")
                await wait_all_tasks_blocked()
                sqlite_of(store).fatal_error = "the write before failed for good"
                held.let_go()
            assert refused == ["waiting"]
            await store.database.failed.wait()
            assert await events(store) == []


async def test_a_file_damaged_under_the_daemon_ends_it(tmp_path: Path) -> None:
    """Not the fault of one write: all of the store is suspect."""
    file = tmp_path / "recado.db"
    async with store_in(tmp_path) as store:
        for number in range(200):
            await accept(store, message(f"m-{number}"))
    async with store_in(tmp_path) as store:
        with file.open("r+b") as pages:
            pages.seek(4096)
            pages.write(b"\xff" * (file.stat().st_size - 4096))
        with pytest.raises(StoreUnavailable, match="SQLITE_CORRUPT"):
            await accept(store, message("m-new"))
        assert "SQLITE_CORRUPT" in store.database.fatal_error
        with trio.fail_after(30):
            await store.database.failed.wait()
        with pytest.raises(StoreUnavailable):
            await accept(store, message("m-newer"))
