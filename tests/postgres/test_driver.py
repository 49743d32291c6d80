"""PostgreSQL behind the ledger: its tables, its one owner, and what a lost connection means."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected
from support.ledgers import LAURA, accept, message
from support.place import POSTGRES
from support.postgres_proxy import Proxy, proxy_before
from support.rows import select

from daemon.errors import CommitUnknown, StoreError, StoreUnavailable
from daemon.ledger.drivers.port import Connection, Transactions
from daemon.ledger.drivers.postgres import connection, writer
from daemon.ledger.drivers.postgres.connection import PostgresConnection, connect
from daemon.ledger.drivers.postgres.database import READERS
from daemon.ledger.drivers.postgres.ownership import Ownership
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.migrations import migrate

KINDS = {"INTEGER": "bigint", "REAL": "double precision", "TEXT": "text", "BLOB": "bytea"}

INSERT = "INSERT INTO own_ids (channel, id) VALUES ('main', ?)"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own; what reads rows reads them there."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    return POSTGRES.url(tmp_path)


@pytest.fixture
def server(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A connection of the server's administrator."""
    with closing(connect(url)) as connection:
        yield connection


def opened(folder: Path, url: str) -> Any:
    return open_store(folder, url=url, clock=time.perf_counter)


def cut(server: "psycopg.Connection[Any]") -> None:
    """Cut all connections but this one, as a server that restarts does."""
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid != pg_backend_pid()"
    )


async def own_ids(store: Store) -> list[str]:
    sql = "SELECT id FROM own_ids ORDER BY id"
    return await store.database.read(lambda connection: [row[0] for row in connection.execute(sql)])


def test_both_databases_have_the_same_tables(server: "psycopg.Connection[Any]") -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sqlite:
        migrate(sqlite)
        tables = [
            row[0]
            for row in sqlite.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                " AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'knowledge_index_%'"
                " AND name NOT LIKE 'search_index_%'"
            )
        ]
        expected = {
            (table, name): (KINDS[kind], bool(required or key))
            for table in tables
            for _, name, kind, required, _, key, hidden in sqlite.execute(
                f"PRAGMA table_xinfo({table})"
            )
            if hidden in {0, 2, 3}
        }
        version = sqlite.execute("PRAGMA user_version").fetchone()[0]
    found = {
        (table, name): (kind, nullable == "NO")
        for table, name, kind, nullable in server.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM"
            " information_schema.columns WHERE table_schema = 'public'"
            " AND table_name != 'ledger_version'"
            " AND (table_name, column_name) NOT IN (('media', 'rowid'), ('search_texts', 'words'))"
        )
    }
    assert found == expected
    assert server.execute("SELECT version FROM ledger_version").fetchone() == (version,)


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """A proxy before the server of this test's database."""
    with proxy_before(Path(str(conninfo_to_dict(url)["host"]))) as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> str:
    """The address of the database behind the proxy."""
    return url.replace(str(conninfo_to_dict(url)["host"]), str(proxy.folder))


async def test_connections_that_have_ended_are_made_again(
    tmp_path: Path, url: str, server: "psycopg.Connection[Any]"
) -> None:
    async with opened(tmp_path, url) as store:
        await accept(store, message("m-1"))
        cut(server)
        await accept(store, message("m-2"))
        for _ in range(2 * READERS):
            assert await own_ids(store) == []
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1", "m-2"]
        assert not store.database.last_write_error
        assert not store.database.fatal_error


async def test_the_primary_is_found_by_readers_too(tmp_path: Path, url: str) -> None:
    async with opened(tmp_path, f"{url}&target_session_attrs=read-write") as store:
        await accept(store, message("m-1"))
        assert await own_ids(store) == []
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.database.read(lambda reader: reader.execute(INSERT, ("x",)))


async def test_nothing_is_stored_while_the_server_is_away(
    tmp_path: Path, url: str, proxy: Proxy
) -> None:
    async with opened(tmp_path, through(proxy, url)) as store:
        await accept(store, message("m-1"))
        proxy.outage()
        with pytest.raises(StoreUnavailable):
            await accept(store, message("m-2"))
        with pytest.raises(StoreUnavailable):
            await own_ids(store)
        assert store.database.last_write_error
        proxy.refuses = False
        await store.database.probe()
        assert not store.database.last_write_error
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1"]


@pytest.mark.parametrize("arrives", [True, False], ids=["carried-out", "lost"])
async def test_a_commit_that_is_cut_off_is_asked_after(
    tmp_path: Path, url: str, proxy: Proxy, *, arrives: bool
) -> None:
    async with opened(tmp_path, through(proxy, url)) as store:
        await accept(store, message("m-1"))
        proxy.cut_next_commit(arrives=arrives)
        if arrives:
            await accept(store, message("m-2"))
        else:
            with pytest.raises(StoreUnavailable, match="database") as caught:
                await accept(store, message("m-2"))
            assert not isinstance(caught.value, CommitUnknown)
        assert len(select(store, "messages", "id")) == (2 if arrives else 1)
        await accept(store, message("m-2"))
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1", "m-2"]


async def test_a_commit_that_cannot_be_checked_is_unknown(
    tmp_path: Path, url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RESOLVE_SECONDS", 0.2)
    async with opened(tmp_path, through(proxy, url)) as store:
        await accept(store, message("m-1"))
        proxy.cut_next_commit(arrives=True, refuses=True)
        with pytest.raises(CommitUnknown):
            await accept(store, message("m-2"))
        proxy.refuses = False
        await accept(store, message("m-2"))
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1", "m-2"]


async def test_numbers_are_written_by_connections_of_their_own(tmp_path: Path, url: str) -> None:
    """A write for one number does not wait for one of another; one for all of them does."""
    numbers = ("main", "norte")
    async with (
        open_store(tmp_path, url=url, numbers=numbers, clock=time.perf_counter) as store,
        trio.open_nursery() as nursery,
    ):
        held, let_go = threading.Event(), threading.Event()
        done: list[str] = []

        def hold(_connection: Connection) -> None:
            held.set()
            let_go.wait(90)

        async def write(name: str, database: Transactions, operation: Any) -> None:
            await database.write(operation)
            done.append(name)

        nursery.start_soon(write, "main", store.database.of("main"), hold)
        await trio.to_thread.run_sync(held.wait)
        await write("norte", store.database.of("norte"), lambda c: c.execute(INSERT, ["n"]))
        await write("none", store.database.of(), lambda c: c.execute(INSERT, ["none"]))
        nursery.start_soon(write, "all", store.database, lambda c: c.execute(INSERT, ["all"]))
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert done == ["norte", "none"]
        let_go.set()
    assert sorted(done) == ["all", "main", "none", "norte"]


async def test_a_call_for_another_node_is_stored_while_others_wait_for_a_row(
    tmp_path: Path, url: str, server: "psycopg.Connection[Any]"
) -> None:
    """Such as lines of the log, which nodes store one after the other."""
    sql = "UPDATE log_starts SET number = number"
    server.execute("INSERT INTO log_starts (number) VALUES (1)")
    server.execute("BEGIN")
    server.execute(sql)
    done: list[str] = []
    async with opened(tmp_path, url) as store, trio.open_nursery() as nursery:

        async def wait() -> None:
            await store.database.of().write(lambda c: c.execute(sql).rowcount)
            done.append("lines")

        nursery.start_soon(wait)
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with trio.fail_after(60):
            while not server.execute(waiting).fetchall():  # noqa: ASYNC110 - another connection
                await trio.sleep(0.02)
            await store.waiting_calls.add("main", "", b"{}", now=1.0)
        assert done == []
        server.execute("ROLLBACK")
    assert done == ["lines"]


async def test_one_write_that_fails_leaves_the_others_of_its_transaction(
    tmp_path: Path, url: str
) -> None:
    outcomes: dict[str, str] = {}

    async with opened(tmp_path, url) as store:

        async def write(name: str) -> None:
            def insert(connection: Connection) -> None:
                connection.execute(INSERT, [name])
                if name == "bad":
                    connection.execute(INSERT, [name])

            try:
                await store.database.write(insert)
            except StoreError as error:
                outcomes[name] = str(error)

        async with trio.open_nursery() as nursery:
            for name in ("a", "bad", "c"):
                nursery.start_soon(write, name)
        assert await own_ids(store) == ["a", "c"]
    assert list(outcomes) == ["bad"]
    assert "refused a write" in outcomes["bad"]


async def test_a_write_that_fails_after_two_deadlocks_is_not_taken_for_stored(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are those that share its transaction."""
    run, deadlocks = writer.Writer._run, iter(range(writer.TRIES - 1))

    def deadlocked(one: writer.Writer, batch: Any, apply: Any) -> None:
        if next(deadlocks, None) is not None:
            raise DeadlockDetected("deadlock detected")
        run(one, batch, apply)

    def refuse(_connection: Connection) -> None:
        raise ValueError("it cannot be done")

    async with opened(tmp_path, url) as store:
        monkeypatch.setattr(writer.Writer, "_run", deadlocked)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.database.write, lambda c: c.execute(INSERT, ["good"]).rowcount)
            with pytest.raises(ValueError, match="cannot be done"):
                await store.database.write(refuse)
        assert next(deadlocks, None) is None
        assert await own_ids(store) == ["good"]


async def test_a_server_that_is_the_primary_no_more_is_left(tmp_path: Path, url: str) -> None:
    """The connection may live on, behind a pooler or after a fail-over."""
    async with open_store(tmp_path, url=url, numbers=("main",), clock=time.perf_counter) as store:
        for database in (store.database, store.database.of("main")):
            await database.write(lambda c: c.execute("SET default_transaction_read_only = on"))
            with pytest.raises(StoreUnavailable, match="read-only"):
                await database.write(lambda c: c.execute(INSERT, ["lost"]).rowcount)
            await database.write(lambda c: c.execute("SELECT 1").fetchone())
        await accept(store, message("m-1"))
        assert await own_ids(store) == []
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1"]


async def test_a_fault_of_the_writer_is_told_to_who_waits(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, url) as store:
        with monkeypatch.context() as faulty:
            faulty.setattr(Ownership, "begin", lambda *_: 1 / 0)
            with pytest.raises(StoreUnavailable, match="ZeroDivisionError"):
                await accept(store, message("m-1"))
        await accept(store, message("m-1"))
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1"]


async def test_text_that_the_server_cannot_store_is_marked(tmp_path: Path, url: str) -> None:
    words = "a\x00b \ud800 \\u0000"
    async with opened(tmp_path, url) as store:
        await accept(store, message("m-1", "una\x00pregunta"))
        ((stored,),) = select(store, "messages", "message", where={"channel": LAURA.number})
        assert json.loads(stored)["content"]["body"] == "una\ufffdpregunta"
        await store.database.write(lambda c: c.execute(INSERT, [words]).rowcount)
        assert await own_ids(store) == ["a\ufffdb \ufffd \\ufffd"]


def test_parameters_are_found_outside_of_quoted_text(server: "psycopg.Connection[Any]") -> None:
    connection = PostgresConnection(server)
    sql = "SELECT '?' || ':a' || ? || '%', 7 % 4, ' -- ?' -- ?"
    assert connection.execute(sql, ["x"]).fetchall() == [("?:ax%", 3, " -- ?")]
    assert connection.execute("SELECT :a || :b || :a::text", {"a": "x", "b": "y"}).fetchone() == (
        "xyx",
    )


async def ends(folder: Path, place: str, why: str, operation: Any, *, let_go: Any) -> None:
    """See a write fail for a reason that the server gives, and the next one succeed."""
    async with opened(folder, place) as store:
        await accept(store, message("m-1"))
        with pytest.raises(StoreUnavailable, match=why):
            await store.database.write(operation)
        let_go()
        await accept(store, message("m-2"))
        assert await own_ids(store) == []
        assert [row[0] for row in select(store, "messages", "id")] == ["m-1", "m-2"]
        assert not store.database.fatal_error


async def test_a_statement_that_takes_too_long_is_ended(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STATEMENT_SECONDS", 1)

    def sleep(server: Connection) -> None:
        server.execute(INSERT, ["lost"])
        server.execute("SELECT pg_sleep(600)")

    with trio.fail_after(60):
        await ends(tmp_path, url, "statement timeout", sleep, let_go=lambda: None)
        async with opened(tmp_path, url) as store:
            with pytest.raises(StoreUnavailable, match="statement timeout"):
                await store.database.read(lambda server: server.execute("SELECT pg_sleep(600)"))
            assert await own_ids(store) == []


async def test_who_waits_too_long_for_a_row_gives_up(
    tmp_path: Path, url: str, server: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_SECONDS", 1)
    server.execute("CREATE TABLE held (id INTEGER)")
    server.execute("INSERT INTO held VALUES (1)")
    server.execute("BEGIN")
    server.execute("SELECT id FROM held FOR UPDATE")

    def wait(other: Connection) -> None:
        other.execute(INSERT, ["lost"])
        other.execute("SELECT id FROM held FOR UPDATE")

    with trio.fail_after(60):
        await ends(tmp_path, url, "lock timeout", wait, let_go=lambda: server.execute("ROLLBACK"))


async def test_a_transaction_that_is_left_alone_is_ended(
    tmp_path: Path, url: str, server: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 1)
    living = "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %s"

    def stand_still(other: Connection) -> None:
        other.execute(INSERT, ["lost"])
        (pid,) = other.execute("SELECT pg_backend_pid()").fetchone()
        while server.execute(living, [pid]).fetchone() != (0,):
            server.execute("SELECT pg_sleep(0.05)")
        other.execute(INSERT, ["also lost"])

    with trio.fail_after(60):
        await ends(tmp_path, url, "idle-in-transaction|closed", stand_still, let_go=lambda: None)
