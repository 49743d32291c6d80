"""`recado move-store`: from SQLite to PostgreSQL and back, whole or not at all."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from click.testing import CliRunner, Result
from pydantic import SecretStr
from support.operator import recado_at
from support.place import POSTGRES, VARIABLE
from support.postgres import PostgresServer
from support.rows import change
from support.scenes import model_input, open_scene
from support.stage import LAURA, text_webhook

from daemon.__main__ import main
from daemon.ledger.drivers.postgres.connection import connect
from daemon.ledger.drivers.postgres.moving import PostgresSide
from daemon.ledger.drivers.postgres.tables import migrate, steps
from daemon.ledger.ledger import open_store
from daemon.settings.operation import StoreSettings

pytestmark = pytest.mark.sqlite


@pytest.fixture
def server() -> PostgresServer:
    """The private server of this test process; skips without PostgreSQL."""
    return POSTGRES._running()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A database without tables."""
    return server.url(server.create())


def move(data_dir: Path, target: str, url: str = "", *options: str) -> Result:
    arguments = ["move-store", target, "--data-dir", str(data_dir), *options]
    return CliRunner().invoke(main, arguments, env={"RECADO_STORE__URL": url})


def contents(data_dir: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """All rows of a SQLite store, by table, read without the product's help."""
    with closing(sqlite3.connect(data_dir / "recado.db")) as connection:
        names = connection.execute(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
        ).fetchall()
        return {
            name: Counter(connection.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608
            for (name,) in names
            if name != "sqlite_schema"
        }


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The data directory of a daemon that had two conversations and a large call."""
    return trio.run(_stopped, tmp_path)


async def _stopped(tmp_path: Path) -> Path:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Busco una habitación")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.contact("573007654321").send_image()
        await stage.gateway.wait_sent("573007654321")
        large = text_webhook("Hola", "large-1") | {"padding": "x" * 100_000}
        assert (await stage.post(large)).status_code == 200
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        return stage.settings.data_dir


def test_there_and_back_nothing_is_missing(stopped: Path, url: str, tmp_path: Path) -> None:
    before = contents(stopped)
    assert sum(map(len, before.values())) > 40
    there = move(stopped, url)
    assert there.exit_code == 0, there.output
    assert "counts and hashes are the same on both sides" in there.output
    assert "next: set store.url" in there.output
    assert contents(stopped) == before
    back = move(stopped, f"sqlite:{tmp_path / 'back'}", url, "--json")
    assert back.exit_code == 0, back.output
    counted = {table["name"]: table["rows"] for table in json.loads(back.stdout)["tables"]}
    after = contents(tmp_path / "back")
    assert {name: counted[name] for name in ("messages", "outbox", "turns", "usage_days")} == {
        name: before[name].total() for name in ("messages", "outbox", "turns", "usage_days")
    }
    (large,) = [row for row in before.pop("events") if row[5]]
    (body,) = [row[4] for row in after.pop("events") if row[0] == large[0]]
    assert body == (stopped / "events" / large[5]).read_bytes()
    # PostgreSQL keeps the key of contacts' hashes in the database, SQLite in a file beside it.
    assert before.pop("shared_keys") == Counter()
    assert after.pop("shared_keys").total() == 1
    # The words of the search are put in again from the messages.
    assert after.pop("search_texts") == Counter()
    del before["search_texts"], before["search_cursors"], after["search_cursors"]
    assert after == before
    assert (tmp_path / "back" / "contact.key").read_bytes() == (
        stopped / "contact.key"
    ).read_bytes()
    assert (tmp_path / "back" / "recado.db").stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(
        main, ["unanswered", "--data-dir", str(tmp_path / "back")], env={"RECADO_STORE__URL": ""}
    )
    assert again.exit_code == 0, again.output


async def test_the_daemon_goes_on_in_the_other_database_and_knows_the_conversation(
    url: str, tmp_path: Path
) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Busco una habitación")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        await stage.stop()
        data_dir = stage.settings.data_dir
        there = await trio.to_thread.run_sync(move, data_dir, url)
        assert there.exit_code == 0, there.output
        on_postgres = stage.settings.store.model_copy(update={"url": SecretStr(url)})
        stage.settings = stage.settings.model_copy(update={"store": on_postgres})
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Y para mañana?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert any("Busco una habitación" in words for words in model_input(stage))
        await stage.stop()
        with closing(connect(url)) as server:
            answered = "SELECT COUNT(*) FROM messages WHERE state = 'answered'"
            assert server.execute(answered).fetchone() == (2,)
            spent = server.execute("SELECT SUM(tokens) FROM usage").fetchone()
            assert (
                spent == server.execute("SELECT tokens FROM usage_days WHERE chat = ''").fetchone()
            )
        target = tmp_path / "back"
        back = await trio.to_thread.run_sync(move, data_dir, f"sqlite:{target}", url)
        assert back.exit_code == 0, back.output
        here = {"store": StoreSettings(), "data_dir": target}
        stage.settings = stage.settings.model_copy(update=here)
        await stage.start()
        await stage.gateway.customer_says(LAURA, "¿Con desayuno?")
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert any("¿Y para mañana?" in words for words in model_input(stage))


async def test_a_store_that_a_daemon_has_is_refused(
    stopped: Path, url: str, tmp_path: Path
) -> None:
    async with open_store(stopped, clock=lambda: 0.0):
        running = await trio.to_thread.run_sync(move, stopped, url)
    assert running.exit_code == 2
    assert "in use" in running.stderr
    assert (await trio.to_thread.run_sync(move, stopped, url)).exit_code == 0
    target = f"sqlite:{tmp_path / 'back'}"
    async with open_store(tmp_path / "node", url=url, clock=lambda: 0.0):
        running = await trio.to_thread.run_sync(move, stopped, target, url)
    assert running.exit_code == 2
    assert "in use" in running.stderr


def test_a_target_with_rows_and_an_unknown_target_are_refused(
    stopped: Path, url: str, tmp_path: Path
) -> None:
    assert move(stopped, url).exit_code == 0
    twice = move(stopped, url)
    assert twice.exit_code == 2
    assert "the target is not empty: it has rows in" in twice.stderr
    own = move(stopped, f"sqlite:{stopped}", url)
    assert own.exit_code == 2
    assert "not empty" in own.stderr
    for target in ("mysql://x/y", "sqlite:", "nowhere"):
        refused = move(stopped, target, url)
        assert refused.exit_code == 2
        assert "give postgresql://… or sqlite:FOLDER" in refused.stderr
    unnamed = move(stopped, f"sqlite:{tmp_path / 'back'}")
    assert unnamed.exit_code == 2
    assert "store.url is not set" in unnamed.stderr
    nothing = move(tmp_path / "nowhere", url)
    assert nothing.exit_code == 2
    assert "there is no store" in nothing.stderr


def test_a_move_that_loses_a_row_moves_nothing_and_can_be_repeated(
    stopped: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = PostgresSide.fill

    def lossy(self: PostgresSide, table: str, columns: Any, rows: Iterator[Any]) -> None:
        kept = list(rows)
        fill(self, table, columns, iter(kept[:-1] if table == "outbox" else kept))

    with monkeypatch.context() as patched:
        patched.setattr(PostgresSide, "fill", lossy)
        lost = move(stopped, url)
    assert lost.exit_code == 1
    assert "the table outbox differs" in lost.stderr
    with closing(connect(url)) as server:
        assert PostgresSide(server).count("messages") == 0
    assert move(stopped, url).exit_code == 0


def test_text_that_postgresql_cannot_store_is_marked_and_reported(stopped: Path, url: str) -> None:
    change(stopped, "chats", {"context_text": "a\x00b"})
    moved = move(stopped, url)
    assert moved.exit_code == 0, moved.output
    assert "2 rows with marked characters" in moved.output
    with closing(connect(url)) as server:
        rows = server.execute("SELECT DISTINCT context_text FROM chats").fetchall()
    assert rows == [("a\ufffdb",)]


async def test_a_tool_for_backups_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgres")
    done = await trio.to_thread.run_sync(recado_at, tmp_path, "backup", str(tmp_path / "copy"))
    assert done.exit_code == 2
    assert "pg_dump" in done.stderr


def test_an_older_database_is_brought_up_to_date_with_its_rows(
    server: PostgresServer, url: str
) -> None:
    """From the first version of these tables; SQLite's are tried with the opening."""
    number, script, _ = steps()[0]
    with closing(connect(url)) as old, closing(connect(server.url(server.create()))) as fresh:
        old.execute(script.encode())
        old.execute('CREATE TABLE ledger_version ("only" BIGINT PRIMARY KEY, version BIGINT)')
        old.execute("INSERT INTO ledger_version VALUES (1, %s)", [number])
        old.execute(
            "INSERT INTO chats (channel, chat, first_seen_at, last_activity_at)"
            " VALUES ('main', '573001234567@s.whatsapp.net', 1, 2)"
        )
        migrate(old)
        migrate(fresh)
        assert shape(old) == shape(fresh)
        assert PostgresSide(old).count("chats") == 1


def shape(server: "psycopg.Connection[Any]") -> set[tuple[Any, ...]]:
    """The columns of all tables, and the indexes."""
    columns = server.execute(
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name != 'ledger_version'"
    )
    indexes = server.execute(
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename != 'ledger_version'"
    )
    return {*columns.fetchall(), *indexes.fetchall()}
