"""Several nodes on one ledger: one has it, the others wait and take webhook calls for it."""

import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from psycopg.conninfo import conninfo_to_dict
from support.ledgers import accept, message
from support.place import POSTGRES
from support.postgres_proxy import proxy_before
from support.rows import select

from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.postgres.connection import PostgresConnection, connect
from daemon.ledger.drivers.postgres.database import PostgresDatabase
from daemon.ledger.drivers.postgres.ownership import Ownership
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.nodes import Node, WaitingCalls, nodes, waiting_calls

TERMS = NodeTerms(
    name="a", version="1", lease_seconds=1.0, call_seconds=5.0, boot_clock=time.monotonic
)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own; what reads rows reads them there."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    return POSTGRES.url(tmp_path)


def opened(folder: Path, url: str, name: str, **node: Any) -> Any:
    terms = replace(TERMS, name=name)
    return open_store(
        folder / name, url=url, clock=time.perf_counter, node=Node(terms=terms, **node)
    )


def database_of(store: Store) -> PostgresDatabase:
    assert isinstance(store.database, PostgresDatabase)
    return store.database


def stand_still(store: Store) -> None:
    """What the others see of a process that is stopped: it renews no more."""
    ownership = database_of(store)._ownership
    ownership._ended.set()
    ownership._thread.join()


async def test_of_two_nodes_one_has_the_ledger_until_it_hands_it_over(
    tmp_path: Path, url: str
) -> None:
    told: list[str] = []
    stands_by, has_it, ends = trio.Event(), trio.Event(), trio.Event()
    calls: list[WaitingCalls] = []

    def ready(waiting: WaitingCalls) -> None:
        calls.append(waiting)
        stands_by.set()

    async def second() -> None:
        async with opened(tmp_path, url, "b", stands_by=ready, waits=told.append) as store:
            assert store.database.settles_at == 0  # nothing of the first is under way
            assert database_of(store).epoch == 2
            has_it.set()
            await ends.wait()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with opened(tmp_path, url, "a") as store:
                nursery.start_soon(second)
                await stands_by.wait()
                await calls[0].add("main", "", b"{}", now=1.0)
                while not told:  # noqa: ASYNC110 - a thread tells
                    await trio.sleep(0.05)
                assert told == ["another node has the ledger: standing by"]
                assert not has_it.is_set()
                with closing(connect(url)) as server:
                    connection = PostgresConnection(server)
                    assert [one.name for one in nodes(connection, time.time())] == ["a", "b"]
                    assert waiting_calls(connection) == 1
                await accept(store, message("m-1"))
            await has_it.wait()
            ends.set()
    assert [row[0] for row in select(tmp_path, "messages", "id")] == ["m-1"]


async def test_a_node_that_stood_still_stores_nothing_more(tmp_path: Path, url: str) -> None:
    with trio.fail_after(60):
        async with opened(tmp_path, url, "a") as store:
            assert store.database.lease_left() > 0
            stand_still(store)
            async with opened(tmp_path, url, "b") as other:
                assert store.database.lease_left() <= 0
                left = other.database.settles_at - TERMS.boot_clock()
                assert 0 < left <= TERMS.call_seconds
                with pytest.raises(StoreUnavailable, match="another node"):
                    await accept(store, message("lost"))
                assert store.database.failed.is_set()
                await accept(other, message("m-1"))
    assert [row[0] for row in select(tmp_path, "messages", "id")] == ["m-1"]


async def test_a_node_that_is_told_by_its_renewal_ends(tmp_path: Path, url: str) -> None:
    with trio.fail_after(60):
        async with opened(tmp_path, url, "a") as store:
            with closing(connect(url)) as server:
                server.execute("UPDATE numbers SET owner = 'b', epoch = epoch + 1")
            await store.database.failed.wait()
            assert store.database.fatal_error == "another node has the ledger now"


def test_of_many_that_try_at_once_one_gets_the_ledger(url: str) -> None:
    begin, got = threading.Barrier(6), []

    def claim(number: int) -> None:
        ownership = Ownership(url, f"process {number}", replace(TERMS, name=f"n{number}"))
        with closing(connect(url)) as connection:
            begin.wait()
            if ownership.claim(connection, ["main"]):
                got.append(number)
        ownership._ended.set()

    threads = [threading.Thread(target=claim, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


async def test_all_nodes_have_the_contact_key_of_the_first(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a") as first:
        key = first.contact_key
    async with opened(tmp_path, url, "b") as second:
        assert second.contact_key == key
    assert (tmp_path / "b" / "contact.key").read_bytes() == key


async def test_waiting_calls_are_taken_in_their_order(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a") as store:
        for body in (b"1", b"2", b"3"):
            await store.waiting_calls.add("main", "messages.post", body, now=1.0)
        await store.waiting_calls.add("other", "", b"4", now=1.0)
        waiting = await store.waiting_calls.of_numbers(["main"], beside=())
        assert [(call.body, call.event) for call in waiting] == [
            (body, "messages.post") for body in (b"1", b"2", b"3")
        ]
        await store.waiting_calls.taken(waiting[0].id)
        left = await store.waiting_calls.of_numbers(["main"], beside={waiting[1].id})
        assert [call.body for call in left] == [b"3"]


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path, url: str) -> None:
    told: list[str] = []
    with proxy_before(Path(str(conninfo_to_dict(url)["host"]))) as proxy:
        behind = url.replace(str(conninfo_to_dict(url)["host"]), str(proxy.folder))
        proxy.refuses = True

        async def come_back() -> None:
            while not told:  # noqa: ASYNC110 - a thread tells
                await trio.sleep(0.05)
            proxy.refuses = False

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_back)
                async with opened(tmp_path, behind, "a", waits=told.append) as store:
                    await accept(store, message("m-1"))
    assert "cannot open the database" in told[0]
