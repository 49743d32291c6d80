"""Nodes of two versions on one ledger: who goes on, who waits, and who is told to end."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from support.place import POSTGRES
from support.rows import change, rows, select

from daemon.__main__ import main
from daemon.domain.transitions.leases import NodeTerms
from daemon.errors import NotOwned, StoreDamaged, StoreError, StoreUnavailable
from daemon.ledger.admin.connection import open_cli_connection
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.postgres import ownership, tables
from daemon.ledger.drivers.postgres.connection import connect
from daemon.ledger.drivers.postgres.database import PostgresDatabase
from daemon.ledger.drivers.postgres.tables import SchemaStep, Tables, migrate, steps, tables_of
from daemon.ledger.ledger import Store, open_store
from daemon.ledger.migrations import latest_version, oldest_after
from daemon.ledger.nodes import Node
from daemon.ops.commands import checks

NUMBERS = ("eins", "zwei")
TERMS = NodeTerms(
    name="a",
    version="1",
    lease_seconds=15.0,
    call_seconds=1.0,
    boot_clock=time.monotonic,
    now=time.time,
)
NOW = latest_version()
OLDEST = max(step.oldest for step in steps())
ADDS = "ALTER TABLE own_ids ADD COLUMN note TEXT; CREATE TABLE further (id BIGINT PRIMARY KEY)"
NEVER_ENDED = "-c%20idle_in_transaction_session_timeout%3D0"
CHANGES = "ALTER TABLE own_ids RENAME COLUMN id TO own_id"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of its own; what reads rows reads them there."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    return POSTGRES.url(tmp_path)


def opened(folder: Path, url: str, name: str, **fields: Any) -> Any:
    """A node as the daemon opens it."""
    waits = fields.pop("waits", lambda _why: None)
    terms = replace(TERMS, name=name, **fields)
    return open_store(
        folder / name,
        url=url,
        numbers=NUMBERS,
        clock=time.perf_counter,
        node=Node(terms=terms, waits=waits),
    )


@contextmanager
def later(script: str, *, oldest: int) -> Iterator[None]:
    """What is opened in the block is the next version, with one more step."""
    further = [*steps(), SchemaStep(NOW + 1, script, oldest)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "steps", lambda: further)
        patch.setattr(ownership, "latest_version", lambda: NOW + 1)
        yield


def database_of(store: Store) -> PostgresDatabase:
    assert isinstance(store.database, PostgresDatabase)
    return store.database


async def write(store: Store, number: str, name: str) -> None:
    """Write one row for a number."""

    def insert(connection: Connection) -> None:
        connection.execute("INSERT INTO own_ids (channel, id) VALUES (?, ?)", [number, name])

    await store.database.of(number).write(insert)


def read_all(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT * FROM own_ids").fetchall()


async def until(holds: Any) -> None:
    """Wait for what threads do."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110 - threads
            await trio.sleep(0.02)


def version(url: str) -> Tables:
    with closing(connect(url)) as connection:
        return tables_of(connection)


def test_a_step_says_since_which_version_a_recado_goes_on() -> None:
    assert oldest_after(60, "-- Versions since 58 go on with this step.\nCREATE ...") == 58
    assert oldest_after(60, "-- A table.\nCREATE TABLE ...") == 60
    for step in steps():
        assert step.oldest == step.number or tables.NODES_TELL - 1 <= step.oldest < step.number


async def test_a_step_that_only_adds_is_applied_while_older_nodes_work(
    tmp_path: Path, url: str
) -> None:
    async with opened(tmp_path, url, "a") as old:
        a = database_of(old)
        for _ in range(40):  # enough for each reader to prepare the statement
            assert await a.read(read_all) == []
        await write(old, "eins", "1")
        assert a.leads
        with later(ADDS, oldest=NOW):
            async with opened(tmp_path, url, "b") as new:
                assert version(url) == (NOW + 1, NOW)
                await write(old, "eins", "2")
                for _ in range(8):
                    assert len(await a.read(read_all)) == 2
                await until(lambda: database_of(new).leads and not a.leads)
                shown = select(tmp_path, "nodes", "name, schema_version", order="name")
                assert shown == [("a", NOW), ("b", NOW + 1)]
        await until(lambda: a.leads)  # nobody is left who knows more
        assert not a.failed.is_set()
    async with opened(tmp_path, url, "a") as again:  # the way back
        await write(again, "eins", "3")
    with open_cli_connection(tmp_path, url) as connection:
        assert connection.execute("SELECT COUNT(*) FROM own_ids").fetchone()[0] == 3
    assert version(url) == (NOW + 1, NOW)


async def test_a_step_that_shuts_older_nodes_out_waits_for_their_end(
    tmp_path: Path, url: str
) -> None:
    reasons: list[str] = []

    async def start_new() -> None:
        async with opened(tmp_path, url, "b", waits=reasons.append) as new:
            await until(lambda: database_of(new).owned == frozenset(NUMBERS))

    with ExitStack() as newer, trio.fail_after(120):
        async with trio.open_nursery() as nursery, opened(tmp_path, url, "a") as old:
            newer.enter_context(later(CHANGES, oldest=NOW + 1))
            nursery.start_soon(start_new)
            await until(lambda: reasons)
            assert "stop a (1); this node waits" in reasons[0]
            await write(old, "eins", "1")
            assert version(url) == (NOW, OLDEST)
            assert database_of(old).owned == frozenset(NUMBERS)
    assert version(url) == (NOW + 1, NOW + 1)
    assert rows(tmp_path, "own_ids", "channel, own_id") == [{"channel": "eins", "own_id": "1"}]


async def test_a_node_that_missed_a_change_of_the_tables_stores_nothing_and_ends(
    tmp_path: Path, url: str
) -> None:
    async with opened(tmp_path, url, "a", lease_seconds=1.0) as old:
        a = database_of(old)
        with a._ownership._one_by_one:  # as a process that stands still: it looks no more
            change(tmp_path, "nodes", {"until": 0}, where={"name": "a"})
            with later(CHANGES, oldest=NOW + 1):
                async with opened(tmp_path, url, "b") as new:
                    assert version(url) == (NOW + 1, NOW + 1)
                    await until(lambda: database_of(new).owned == frozenset(NUMBERS))
                    with pytest.raises(NotOwned):
                        await write(old, "eins", "lost")
        with trio.fail_after(60):
            await a.failed.wait()
        assert f"this Recado knows {NOW}" in a.fatal_error
        assert (a.owned, a.leads) == (frozenset(), False)
        with pytest.raises(StoreUnavailable, match="written by a later one"):
            await write(old, "eins", "lost")
    with pytest.raises(StoreDamaged, match=f"{NOW + 1} is the first that can work with it"):
        async with opened(tmp_path, url, "a"):
            pass
    with pytest.raises(StoreError, match="later"), open_cli_connection(tmp_path, url):
        pass
    assert rows(tmp_path, "own_ids") == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (None, f"ok: store: version {NOW}, nothing to do"),
        ((ADDS, NOW), "ok: nodes: they go on meanwhile; upgrade one after the other"),
        ((CHANGES, NOW + 1), "warning: nodes: stop all of them before the start of this version"),
    ],
    ids=["nothing", "adds", "changes"],
)
def test_the_check_before_an_upgrade_says_whether_nodes_go_on(
    tmp_path: Path, url: str, step: tuple[str, int] | None, said: str
) -> None:
    with ExitStack() as newer:
        if step:
            newer.enter_context(later(step[0], oldest=step[1]))
            newer.enter_context(pytest.MonkeyPatch.context()).setattr(
                checks, "latest_version", lambda: NOW + 1
            )
        done = CliRunner().invoke(
            main,
            ["upgrade-check", "--data-dir", str(tmp_path)],
            env={"RECADO_STORE__URL": url},
        )
    assert said in done.output
    assert version(url) == (NOW, OLDEST)


def test_the_check_before_a_downgrade_says_whether_it_is_one(tmp_path: Path, url: str) -> None:
    change(tmp_path, "ledger_version", {"version": NOW + 2}, where={"version": NOW})
    arguments = ["upgrade-check", "--data-dir", str(tmp_path)]
    done = CliRunner().invoke(main, arguments, env={"RECADO_STORE__URL": url})
    assert f"ok: store: version {NOW + 2}, of a later Recado" in done.output
    change(tmp_path, "ledger_version", {"oldest": NOW + 1}, where={"version": NOW + 2})
    done = CliRunner().invoke(main, arguments, env={"RECADO_STORE__URL": url})
    assert f"error: store: it has version {NOW + 2}, this Recado knows {NOW}" in done.output


async def test_nodes_that_start_together_apply_each_step_once(url: str) -> None:
    with later("CREATE TABLE once (id BIGINT)", oldest=NOW):
        begin = threading.Barrier(4)
        faults: list[Exception] = []

        def start() -> None:
            with closing(connect(url)) as connection:
                begin.wait()
                for _ in range(100):
                    try:
                        migrate(connection)
                    except StoreUnavailable:
                        continue  # another one has the tables; the daemon tries again, too
                    except Exception as error:  # noqa: BLE001 - shown by the test
                        faults.append(error)
                    return

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await trio.to_thread.run_sync(thread.join)
    assert not faults
    assert version(url) == (NOW + 1, NOW)


async def test_a_step_gives_way_to_a_transaction_and_is_tried_again(
    tmp_path: Path, url: str
) -> None:
    reasons: list[str] = []
    async with opened(tmp_path, url, "a") as old, trio.open_nursery() as nursery:
        with closing(connect(f"{url}&options={NEVER_ENDED}")) as busy:
            busy.execute("BEGIN")
            busy.execute("SELECT * FROM own_ids")
            with later(ADDS, oldest=NOW):

                async def start_new() -> None:
                    async with opened(tmp_path, url, "b", waits=reasons.append):
                        pass

                nursery.start_soon(start_new)
                await until(lambda: reasons)
                assert "cannot be locked" in reasons[0]
                await write(old, "eins", "1")
                busy.execute("ROLLBACK")
                await until(lambda: version(url).version == NOW + 1)


async def test_tables_of_before_get_the_word_since_when_they_can_be_used(url: str) -> None:
    with closing(connect(url)) as connection:
        connection.execute("ALTER TABLE ledger_version DROP COLUMN oldest")
        assert tables_of(connection) == (NOW, NOW)
        migrate(connection)
        assert tables_of(connection) == (NOW, NOW)
        connection.execute("UPDATE ledger_version SET oldest = 7")
        migrate(connection)
        assert tables_of(connection) == (NOW, 7)
