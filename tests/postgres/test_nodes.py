"""Several nodes on one ledger: each owns its share of the numbers, and leaves word for others."""

import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ReadOnlySqlTransaction
from support.ledgers import accept, message
from support.place import POSTGRES
from support.postgres_proxy import proxy_before
from support.rows import select

from daemon.domain.notification_texts import Occasion
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import NotOwned, StoreUnavailable
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.postgres.connection import PostgresConnection, connect
from daemon.ledger.drivers.postgres.database import PostgresDatabase
from daemon.ledger.drivers.postgres.ownership import Ownership
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.nodes import (
    AlreadyBegun,
    Node,
    OnceDatabase,
    owners,
    running_nodes,
    waiting_calls,
)

NUMBERS = ("eins", "zwei")
TERMS = NodeTerms(
    name="a",
    version="1",
    lease_seconds=15.0,
    call_seconds=5.0,
    boot_clock=time.monotonic,
    now=time.time,
)
INSERT = "INSERT INTO own_ids (channel, id) VALUES (?, ?)"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own; what reads rows reads them there."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    return POSTGRES.url(tmp_path)


def opened(folder: Path, url: str, name: str, *, lease_seconds: float = 15.0, **node: Any) -> Any:
    terms = replace(TERMS, name=name, lease_seconds=lease_seconds)
    return open_store(
        folder / name,
        url=url,
        numbers=NUMBERS,
        clock=time.perf_counter,
        node=Node(terms=terms, **node),
    )


def database_of(store: Store) -> PostgresDatabase:
    assert isinstance(store.database, PostgresDatabase)
    return store.database


def stand_still(store: Store) -> None:
    """What the others see of a process that is stopped: it renews no more."""
    ownership = database_of(store)._ownership
    ownership._ended.set()
    ownership._thread.join()


async def until(holds: Any) -> None:
    """Wait for what other threads do."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110 - threads
            await trio.sleep(0.02)


async def share(*stores: Store) -> None:
    """Do for nodes what the daemon does: hand over what another one is to have."""
    for store in stores:
        database = database_of(store)
        for number in database._ownership.leaving & database._ownership.holds.keys():
            await database.release(number, is_finished=True)


async def write(store: Store, number: str, name: str) -> None:
    """Write one row for a number."""

    def insert(connection: Connection) -> None:
        connection.execute(INSERT, [number, name])

    await store.database.of(number).write(insert)


async def write_when_owned(store: Store, number: str, name: str) -> None:
    """Write it once: a machine that is busy may renew a short lease too late."""
    while True:
        with suppress(NotOwned):
            return await write(store, number, name)
        await trio.sleep(0.02)


def written(folder: Path) -> list[str]:
    return [row[0] for row in select(folder, "own_ids", "id", order="id")]


async def test_a_node_that_joins_gets_its_share_and_one_that_ends_leaves_it(
    tmp_path: Path, url: str
) -> None:
    async with opened(tmp_path, url, "a") as first:
        a = database_of(first)
        assert (a.owned, a.leads, a.is_alone) == (frozenset(NUMBERS), True, True)
        await write(first, "eins", "1")
        async with opened(tmp_path, url, "b") as second:
            b = database_of(second)
            assert (b.owned, b.leads) == (frozenset(), False)
            await until(lambda: a.owned == {"zwei"})
            await share(first)
            await until(lambda: b.owned == {"eins"})
            assert b.settles_at("eins") == 0  # nothing of the first is under way
            assert (b.epoch("eins"), b.epoch("zwei")) == (2, 0)
            await write(second, "eins", "2")
            with pytest.raises(NotOwned, match="another node writes for eins"):
                await write(first, "eins", "lost")
            with pytest.raises(NotOwned, match="another node writes for the ledger"):
                await second.database.write(lambda c: c.execute("SELECT 1"))
            with closing(connect(url)) as server:
                connection = PostgresConnection(server)
                assert owners(connection) == {"eins": "b", "zwei": "a"}
                listed = [
                    (one.name, one.numbers, one.leads) for one in running_nodes(connection, 0)
                ]
                assert listed == [("a", ("zwei",), True), ("b", ("eins",), False)]
        await until(lambda: a.owned == frozenset(NUMBERS))
        await write(first, "eins", "3")
    with closing(connect(url)) as server:
        assert running_nodes(PostgresConnection(server), 0) == []
        assert set(owners(PostgresConnection(server)).values()) == {""}
    assert written(tmp_path) == ["1", "2", "3"]


async def test_who_takes_a_number_waits_for_sends_that_were_cut_off(
    tmp_path: Path, url: str
) -> None:
    async with opened(tmp_path, url, "b") as second:
        b = database_of(second)
        async with opened(tmp_path, url, "a") as first:
            a = database_of(first)
            await until(lambda: b.owned == {"zwei"})
            await share(second)
            await until(lambda: a.owned == {"eins"})
            assert a.settles_at("eins") == 0
            await a.release("eins", is_finished=False)
            await until(lambda: "eins" in a.owned | b.owned)
            taken = a if "eins" in a.owned else b
            assert taken.settles_at("eins") > 0
            await until(lambda: a.owned)
        await until(lambda: b.owned == frozenset(NUMBERS))
        assert max(map(b.settles_at, NUMBERS)) > 0  # the other one was closed, with sends or none


async def test_a_node_that_stood_still_stores_nothing_more(tmp_path: Path, url: str) -> None:
    async with (
        opened(tmp_path, url, "a", lease_seconds=2) as first,
        opened(tmp_path, url, "b") as second,
    ):
        a, b = database_of(first), database_of(second)
        stand_still(first)
        await until(lambda: b.owned == frozenset(NUMBERS) and b.leads)
        assert a.lease_left("eins") <= 0
        left = b.settles_at("eins") - TERMS.boot_clock()
        assert left <= TERMS.call_seconds
        for number in NUMBERS:
            with pytest.raises(NotOwned):
                await write(first, number, "lost")
        with pytest.raises(NotOwned):
            await accept(first, message("lost"))
        assert not a.leads
        assert not a.failed.is_set()  # the process goes on, and may own numbers again
        await write(second, "eins", "1")
    assert written(tmp_path) == ["1"]


@pytest.mark.parametrize("began_again", [False, True])
async def test_a_node_that_stands_still_between_statements_keeps_no_number(
    tmp_path: Path, url: str, *, began_again: bool
) -> None:
    """No limit of the server ends a transaction whose client pauses within a pipeline."""
    paused, goes_on = threading.Event(), threading.Event()

    def pause(connection: Connection) -> None:
        assert isinstance(connection, PostgresConnection)
        client = connection.psycopg.pgconn
        client.enter_pipeline_mode()
        client.send_query_params(INSERT.replace("?, ?", "'eins', 'lost'").encode(), None)
        client.send_flush_request()
        client.flush()
        paused.set()
        goes_on.wait()
        raise psycopg.OperationalError("it goes on, and finds its connection cut")

    async def write_slowly(store: Store) -> None:
        with pytest.raises(StoreUnavailable):
            await store.database.of("eins").write(pause)

    async with (
        opened(tmp_path, url, "a", lease_seconds=2) as first,
        trio.open_nursery() as nursery,
    ):
        await write_when_owned(first, "eins", "1")
        if began_again:  # its connections are those of before
            process = database_of(first)._ownership._process
            with closing(connect(url)) as server:
                server.execute("DELETE FROM nodes")
            await until(lambda: database_of(first)._ownership._process != process)
            await until(lambda: database_of(first).owned == frozenset(NUMBERS))
        nursery.start_soon(write_slowly, first)
        await until(paused.is_set)
        stand_still(first)
        try:
            async with opened(tmp_path, url, "b") as second:
                await until(lambda: database_of(second).owned == frozenset(NUMBERS))
                await write(second, "eins", "2")
        finally:
            goes_on.set()
    assert written(tmp_path) == ["1", "2"]


async def test_a_node_that_was_given_up_begins_again_without_numbers(
    tmp_path: Path, url: str
) -> None:
    async with opened(tmp_path, url, "a", lease_seconds=2) as store:
        database, process = database_of(store), database_of(store)._ownership._process
        with closing(connect(url)) as server:
            server.execute("DELETE FROM nodes")
            server.execute("UPDATE numbers SET owner = 'b', epoch = epoch + 1")
            server.execute(
                "INSERT INTO nodes VALUES ('b', 'b', '', extract(epoch FROM now()) + 3600, 0)"
            )
            await until(lambda: database.owned == frozenset() and not database.leads)
            with pytest.raises(NotOwned):
                await write(store, "eins", "lost")
            server.execute("DELETE FROM nodes WHERE process = 'b'")
            await until(lambda: database.owned == frozenset(NUMBERS) and database.leads)
        assert database._ownership._process != process
        await write_when_owned(store, "eins", "1")
    assert written(tmp_path) == ["1"]


async def test_one_lost_number_leaves_the_writes_for_others(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a") as store:
        with closing(connect(url)) as server:
            server.execute("UPDATE numbers SET epoch = epoch + 1 WHERE number = 'eins'")
        # Both in one transaction: they have the same connection.
        writer = database_of(store)._writer_of(None)
        database_of(store)._writers = dict.fromkeys(range(6), writer)
        refused: list[str] = []

        async def one(number: str) -> None:
            try:
                await write(store, number, number)
            except NotOwned:
                refused.append(number)

        async with trio.open_nursery() as nursery:
            for number in NUMBERS:
                nursery.start_soon(one, number)
        assert refused == ["eins"]
        database_of(store)._writers = {0: writer}
    assert written(tmp_path) == ["zwei"]


def test_of_many_that_try_at_once_each_number_has_one_owner(url: str) -> None:
    begin = threading.Barrier(6)
    got: list[str] = []

    def take_part(number: int) -> None:
        terms = replace(TERMS, name=f"n{number}", lease_seconds=60)
        ownership = Ownership(url, f"process {number}", terms, NUMBERS)
        with closing(connect(url)) as connection:
            begin.wait()
            ownership._look(connection)
        got.extend(ownership.holds)

    threads = [threading.Thread(target=take_part, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["", *NUMBERS]


async def test_nodes_of_the_same_name_are_told_apart(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a", lease_seconds=1) as first:
        a = database_of(first)
        async with opened(tmp_path / "other", url, "a", lease_seconds=1) as second:
            b = database_of(second)
            await until(lambda: a.namesake and b.namesake)
            assert a.namesake == b._ownership._process
        await until(lambda: not a.namesake)


async def test_notices_wake_other_nodes(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a") as first, opened(tmp_path, url, "b") as second:
        heard: list[str] = []

        async def listen(what: str) -> None:
            await database_of(second).noticed(what)
            heard.append(what)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, "waiting_calls")
                nursery.start_soon(listen, "commands")
                while len(heard) < 2:  # a notice before the node listens is missed
                    await first.waiting_calls.add("eins", "", b"{}", now=1.0)
                    await first.commands.ask("eins", "", "release", "{}", now=1.0)
                    await trio.sleep(0.05)
        assert sorted(heard) == ["commands", "waiting_calls"]


async def test_a_command_is_carried_out_once(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, url, "a") as store:
        asked = await store.commands.ask("eins", "1@c.us", "pause", "{}", now=1.0)
        assert await store.commands.open(["zwei"]) == ()
        (command,) = await store.commands.open(NUMBERS)
        assert (command.id, command.operation, command.is_begun) == (asked, "pause", False)
        once = OnceDatabase(store.database.of("eins"), asked)
        await once.write(lambda c: c.execute(INSERT, ["eins", "1"]))
        await once.write(lambda c: c.execute(INSERT, ["eins", "2"]))  # of the same command
        again = OnceDatabase(store.database.of("eins"), asked)
        with pytest.raises(AlreadyBegun):
            await again.write(lambda c: c.execute(INSERT, ["eins", "3"]))
        (command,) = await store.commands.open(NUMBERS)
        assert command.is_begun
        assert await store.commands.result(asked) is None
        await store.commands.done(asked, "1")
        await store.commands.done(asked, "2")  # the first result stays
        assert await store.commands.result(asked) == "1"
        assert await store.commands.open(NUMBERS) == ()
        assert select(tmp_path, "commands", "chat, arguments") == [("", "")]
        await store.commands.forget(before=2.0)
        assert select(tmp_path, "commands", "id") == []
    assert written(tmp_path) == ["1", "2"]


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
        assert await store.waiting_calls.counts() == {"main": 3, "other": 1}
        waiting = await store.waiting_calls.of_number("main", beside=())
        assert [(call.body, call.event) for call in waiting] == [
            (body, "messages.post") for body in (b"1", b"2", b"3")
        ]
        await store.waiting_calls.taken([waiting[0].id])
        left = await store.waiting_calls.of_number("main", beside={waiting[1].id})
        assert [call.body for call in left] == [b"3"]
        with closing(connect(url)) as server:
            assert waiting_calls(PostgresConnection(server)) == {"main": 2, "other": 1}


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path, url: str) -> None:
    told: list[str] = []
    with proxy_before(Path(str(conninfo_to_dict(url)["host"]))) as proxy:
        behind = url.replace(str(conninfo_to_dict(url)["host"]), str(proxy.folder))
        proxy.refuses = True

        async def come_back() -> None:
            await until(lambda: told)
            proxy.refuses = False

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come_back)
                async with opened(tmp_path, behind, "a", waits=told.append) as store:
                    await accept(store, message("m-1"))
    assert "cannot open the database" in told[0]


async def test_a_node_keeps_its_numbers_over_an_outage_that_is_shorter_than_its_lease(
    tmp_path: Path, url: str
) -> None:
    with proxy_before(Path(str(conninfo_to_dict(url)["host"]))) as proxy:
        behind = url.replace(str(conninfo_to_dict(url)["host"]), str(proxy.folder))
        async with opened(tmp_path, behind, "a", lease_seconds=60) as store:
            database = database_of(store)
            epochs = [database.epoch(number) for number in NUMBERS]
            proxy.outage()
            await until(lambda: "cannot reach the database" in database.last_write_error)
            proxy.refuses = False
            await until(lambda: not database.last_write_error)
            assert [database.epoch(number) for number in NUMBERS] == epochs
            await write(store, "eins", "1")
    assert written(tmp_path) == ["1"]


async def test_a_server_that_refuses_the_lease_is_asked_by_another_connection(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not in a hurry: behind a pooler, the connection to a former primary may live on."""
    asked: list[int] = []

    def refuse(_ownership: Ownership, connection: Any) -> None:
        asked.append(connection.info.backend_pid)
        raise ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")

    async with opened(tmp_path, url, "a", lease_seconds=60) as store:
        database = database_of(store)
        with monkeypatch.context() as refusing:
            refusing.setattr(Ownership, "_look", refuse)
            await until(lambda: len(asked) > 3)
            assert "cannot reach the database" in database.last_write_error
        await until(lambda: not database.last_write_error)
        assert len(set(asked)) == len(asked)
        assert database.owned == frozenset(NUMBERS)


async def test_a_fault_of_the_lease_thread_is_reported_and_ends_no_lease(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, url, "a", lease_seconds=60) as store:
        database = database_of(store)
        with monkeypatch.context() as faulty:
            faulty.setattr(Ownership, "_living", lambda *_: 1 / 0)
            await until(
                lambda: database.last_write_error == "cannot keep the lease: ZeroDivisionError"
            )
        await until(lambda: not database.last_write_error)
        assert database.owned == frozenset(NUMBERS)
        await write(store, "eins", "1")
    assert written(tmp_path) == ["1"]


async def test_what_several_nodes_see_is_noted_once(tmp_path: Path, url: str) -> None:
    """Such as a model that refuses them all. One of them leads; any may note."""
    async with (
        opened(tmp_path, url, "a", lease_seconds=60) as first,
        opened(tmp_path, url, "b", lease_seconds=60) as second,
    ):
        for look in range(20):  # a new trouble each time: the last one was quiet for long
            seen = [Occasion(reason="model", subject="", line="refused")]
            async with trio.open_nursery() as nursery:
                for store in (first, second):
                    note = partial(store.notifications.note, quiet_seconds=600, now=1000.0 * look)
                    nursery.start_soon(note, seen)
            (pending,) = await first.notifications.due(now=1000.0 * look, limit=9)
            await first.notifications.settle(pending, ["target"], again_at=0)
            assert await second.notifications.due(now=1000.0 * look, limit=9) == ()
