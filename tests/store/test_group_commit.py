"""Writes that wait together share one transaction, and fail or land each for itself."""

import contextlib
from pathlib import Path

import pytest
import trio
from support.ledgers import Commits, events, held_writer, hold, insert_event
from support.place import sqlite_of, store_in
from trio.testing import wait_all_tasks_blocked

from daemon.errors import StoreError, StoreUnavailable
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.sqlite.database import MAX_BATCH, connect
from daemon.ledger.ledger import Store

pytestmark = pytest.mark.sqlite


def _refused_by_a_constraint(connection: Connection) -> None:
    insert_event("half done")(connection)
    connection.execute(
        "INSERT INTO turns (channel, chat, state, request_id, opened_at)"
        " VALUES ('', '', 'no such state', '', 0)"
    )


def _broken(connection: Connection) -> None:
    insert_event("half done")(connection)
    raise ValueError("a verb of ours is wrong")


async def test_a_hundred_writers_share_one_transaction(
    store: Store, commits: Commits, nursery: trio.Nursery
) -> None:
    commits.rows.clear()
    with trio.fail_after(60), held_writer() as held:
        async with trio.open_nursery() as writers:
            await hold(sqlite_of(store), held, nursery)
            for number in range(100):
                writers.start_soon(store.database.write, insert_event(f"{number}"))
            await wait_all_tasks_blocked()
            held.let_go()
    assert commits.rows == [1, 100]
    assert sorted(map(int, await events(store))) == list(range(100))


async def test_writes_of_one_pass_share_one_transaction(store: Store, commits: Commits) -> None:
    commits.rows.clear()
    async with trio.open_nursery() as writers:
        for number in range(20):
            writers.start_soon(store.database.write, insert_event(f"{number}"))
    assert commits.rows == [20]


async def test_a_transaction_takes_only_so_many_writes(
    store: Store, commits: Commits, nursery: trio.Nursery
) -> None:
    commits.rows.clear()
    with trio.fail_after(60), held_writer() as held:
        async with trio.open_nursery() as writers:
            await hold(sqlite_of(store), held, nursery)
            for number in range(MAX_BATCH + 10):
                writers.start_soon(store.database.write, insert_event(f"{number}"))
            await wait_all_tasks_blocked()
            held.let_go()
    assert commits.rows == [1, MAX_BATCH, 10]


async def test_a_failing_transaction_is_rolled_back_alone(
    store: Store, commits: Commits, nursery: trio.Nursery
) -> None:
    commits.rows.clear()
    errors: list[Exception] = []

    async def fail(work: object) -> None:
        try:
            await store.database.write(work)  # type: ignore[arg-type]
        except (StoreError, ValueError) as error:
            errors.append(error)

    with trio.fail_after(60), held_writer() as held:
        async with trio.open_nursery() as writers:
            await hold(sqlite_of(store), held, nursery)
            for work in (insert_event("a"), _broken, insert_event("b"), _refused_by_a_constraint):
                writers.start_soon(fail, work)
            await wait_all_tasks_blocked()
            held.let_go()
    assert commits.rows == [1, 4]
    assert sorted(await events(store)) == ["a", "b"]
    assert {type(error) for error in errors} == {ValueError, StoreError}


async def test_a_refused_write_leaves_the_store_in_use(store: Store) -> None:
    with pytest.raises(StoreError, match="CHECK constraint"):
        await store.database.write(_refused_by_a_constraint)
    assert not store.database.fatal_error
    await store.database.write(insert_event("after"))
    assert await events(store) == ["after"]


async def test_the_write_of_a_cancelled_caller_still_lands(
    store: Store, nursery: trio.Nursery
) -> None:
    with trio.fail_after(60), held_writer() as held:
        await hold(sqlite_of(store), held, nursery)
        async with trio.open_nursery() as caller:
            caller.start_soon(store.database.write, insert_event("kept"))
            await wait_all_tasks_blocked()
            caller.cancel_scope.cancel()
        assert await events(store) == []
        held.let_go()
        await store.database.write(insert_event("next"))
    assert await events(store) == ["kept", "next"]


async def test_a_caller_cancelled_beforehand_still_writes(store: Store) -> None:
    """Last words are written while every task around is being cancelled."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.database.write(insert_event("last words"))
    assert scope.cancelled_caught
    await store.database.write(insert_event("next"))
    assert await events(store) == ["last words", "next"]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_close_finishes_the_writes_that_wait(tmp_path: Path, *, cancelled: bool) -> None:
    """Also one that is itself cancelled: the lock must not be free while the writer writes."""
    order: list[str] = []
    with trio.fail_after(60), held_writer() as held:

        async def let_go_once_all_wait() -> None:
            await wait_all_tasks_blocked(0.05)
            order.append("let go")
            held.let_go()

        async with trio.open_nursery() as outside:
            with trio.CancelScope() as scope:
                async with store_in(tmp_path) as store:
                    async with trio.open_nursery() as callers:
                        await hold(sqlite_of(store), held, callers)
                        for name in ("a", "b", "c"):
                            callers.start_soon(store.database.write, insert_event(name))
                        await wait_all_tasks_blocked()
                        callers.cancel_scope.cancel()
                    outside.start_soon(let_go_once_all_wait)
                    if cancelled:
                        scope.cancel()
            order.append("closed")
        assert order == ["let go", "closed"]
        async with store_in(tmp_path) as store:
            assert sorted(await events(store)) == ["a", "b", "c"]


async def test_after_the_close_a_write_is_refused(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        pass
    with trio.fail_after(30):
        await sqlite_of(store).close()  # a second time changes nothing
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.database.write(insert_event("too late"))


async def test_readers_see_committed_rows_and_change_nothing(store: Store) -> None:
    await store.database.write(insert_event("a"))
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.database.read(insert_event("b"))
    assert await events(store) == ["a"]


async def test_a_transaction_that_fails_amid_its_rows_does_not_stop_the_next_writes(
    store: Store, tmp_path: Path
) -> None:
    """Its cursor would hold the writer to an old state once a command has written beside it."""

    def broken(connection: Connection) -> None:
        rows = connection.execute("SELECT value FROM json_each('[1,2]'), events")
        for _row in rows:
            raise ValueError("a row of ours is wrong")

    await store.database.write(insert_event("a"))
    with pytest.raises(ValueError, match="a row of ours") as raised:
        await store.database.write(broken)
    with contextlib.closing(connect(tmp_path / "recado.db")) as beside:
        insert_event("b")(beside)
    await store.database.write(insert_event("c"))
    assert await events(store) == ["a", "b", "c"]
    assert str(raised.value) == "a row of ours is wrong"
