"""Reads go on beside the writer, each for itself, and stop nothing when nobody waits for them."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from support.ledgers import events, insert_event
from support.place import store_in

from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.sqlite.database import READERS
from daemon.ledger.ledger import Store

pytestmark = pytest.mark.sqlite

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


class HeldReader:
    """A reader thread, stopped inside a verb until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.calls = 0

    def work(self, _connection: sqlite3.Connection) -> str:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(90)
        return "held"


@contextmanager
def held_readers(count: int) -> Iterator[list[HeldReader]]:
    """Holds on some readers that end with the block, whatever happens in it."""
    held = [HeldReader() for _ in range(count)]
    try:
        yield held
    finally:
        for reader in held:
            reader.go.set()


async def asked(store: Store, number: int) -> int:
    """A number, by way of a reader of the store."""

    def query(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT ?", (number,)).fetchone()[0])

    return await store.database.read(query)


async def _hold(store: Store, held: HeldReader, nursery: trio.Nursery) -> None:
    nursery.start_soon(store.database.read, held.work)
    assert await trio.to_thread.run_sync(held.begun.wait, 90)


async def test_a_read_does_not_wait_for_another(store: Store) -> None:
    with trio.fail_after(60), held_readers(1) as (held,):
        async with trio.open_nursery() as nursery:
            await _hold(store, held, nursery)
            assert await asked(store, 1) == 1
            held.go.set()


async def test_a_cancelled_read_is_not_begun(store: Store) -> None:
    dropped = HeldReader()
    with trio.fail_after(60), held_readers(READERS) as held:
        async with trio.open_nursery() as nursery:
            for reader in held:
                await _hold(store, reader, nursery)
            with trio.move_on_after(0) as scope:
                await store.database.read(dropped.work)
            assert scope.cancelled_caught
            for reader in held:
                reader.go.set()
    assert await asked(store, 1) == 1
    assert dropped.calls == 0


async def test_the_result_of_a_cancelled_read_is_dropped(store: Store) -> None:
    with trio.fail_after(60), held_readers(1) as (held,):
        async with trio.open_nursery() as nursery:
            await _hold(store, held, nursery)
            nursery.cancel_scope.cancel()
        held.go.set()
        for number in range(2 * READERS):
            assert await asked(store, number) == number


async def test_an_exception_of_a_transaction_reaches_only_its_caller(store: Store) -> None:
    def broken(_connection: sqlite3.Connection) -> None:
        raise ValueError("a verb of ours is wrong")

    for _ in range(2 * READERS):
        with pytest.raises(ValueError, match="a verb of ours"):
            await store.database.read(broken)
        with pytest.raises(StoreUnavailable, match="no such table"):
            await store.database.read(
                lambda connection: connection.execute("SELECT 1 FROM no_such")
            )
    await store.database.write(insert_event("a"))
    assert await events(store) == ["a"]


async def test_the_close_ends_an_abandoned_read(tmp_path: Path) -> None:
    begun = threading.Event()

    def endless(connection: sqlite3.Connection) -> None:
        rows = connection.execute(f"{ENDLESS} LIMIT 1 OFFSET 1")
        rows.fetchall()

    def noted(connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(begun.set, 1)
        endless(connection)

    with trio.fail_after(60):
        async with store_in(tmp_path) as store, trio.open_nursery() as nursery:
            nursery.start_soon(store.database.read, noted)
            assert await trio.to_thread.run_sync(begun.wait, 90)
            nursery.cancel_scope.cancel()


async def test_after_the_close_a_read_is_refused(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        pass
    with trio.fail_after(30), pytest.raises(StoreUnavailable, match="closed"):
        await asked(store, 1)


async def test_a_transaction_that_fails_amid_its_rows_does_not_block_the_next_reads(
    store: Store,
) -> None:
    """Its cursor would keep the state of the store that it saw, as long as the fault is kept."""

    def broken(connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT value FROM json_each('[1,2]'), events")
        for _row in rows:
            raise ValueError("a row of ours is wrong")

    await store.database.write(insert_event("a"))
    faults = []
    for _ in range(2 * READERS):
        with pytest.raises(ValueError, match="a row of ours") as raised:
            await store.database.read(broken)
        faults.append(raised.value)
    await store.database.write(insert_event("b"))
    for _ in range(2 * READERS):
        assert await events(store) == ["a", "b"]
    assert len(faults) == 2 * READERS
