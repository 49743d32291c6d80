"""What is done every so often, and that nothing that lives as long as the process grows."""

import gc
import json
import sqlite3
import sys
import tracemalloc
from contextlib import closing
from io import StringIO
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
from pydantic import SecretStr
from support.model_script import Step, say
from support.place import store_in
from support.rows import count
from support.scenes import found, note_chats, open_scene
from support.services import open_all
from support.stage import LAURA, Stage, new_world, quick_settings, text_webhook

from daemon.conversation.chat_info import MAX_CHATS, ChatInfoCache
from daemon.conversation.presence import MAX_CONTACTS, Subscriptions
from daemon.conversation.registry import ChatRegistry
from daemon.conversation.services import ChatServices
from daemon.domain.messages import ChatInfo, ChatKey
from daemon.http.openai_webhook import MOST_IDS, SeenCalls
from daemon.ledger.drivers.sqlite.opening import open_database
from daemon.ledger.process_records import STAGES_A_WRITE, EarlierEnds, StageRow
from daemon.observability.lines import MAX_KEYS, Noise
from daemon.observability.metrics import Metrics
from daemon.observability.vitals import PROCESS_ENDS
from daemon.ops.maintenance import retention, tasks
from daemon.ops.maintenance.retention import COMMITS, write_slice
from daemon.ops.maintenance.tasks import watch_loop_lag, watch_memory
from daemon.settings import Settings
from daemon.system.process import MemoryLimit

CONTACTS = 100_000


def settings_of(data_dir: Path) -> Settings:
    """Settings with which everything can be opened; nothing is called."""
    token = SecretStr("invented-token")
    return quick_settings(data_dir, {"whapi": {"token": token}, "assistant": {"api_key": token}})


def key_of(number: int) -> ChatKey:
    return ChatKey("C", f"57300{number:07d}@s.whatsapp.net")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


class KnowsEverybody:
    """Stands for Whapi: each chat has a name, and it is there at once."""

    async def get_chat(self, chat: str) -> ChatInfo | None:
        return ChatInfo(id=chat, name=f"Name of {chat}", labels=())


# -- bounded by construction ----------------------------------------------------------------------


def blocks() -> int:
    """How many pieces of memory Python has given out: exact, and free, unlike tracemalloc."""
    gc.collect()
    return sys.getallocatedblocks()


class Crowd:
    """Everything that remembers something of contacts for longer than a task, by itself."""

    def __init__(self, services: ChatServices) -> None:
        self.subscriptions, self.noise, self.seen = Subscriptions(), Noise(), SeenCalls()
        self.chat_info = ChatInfoCache(KnowsEverybody(), services.telemetry.log)
        self._contact_hash = services.model.contact_hash

    async def pass_by(self, first: int, count: int) -> None:
        """Let so many contacts come, each one once."""
        for number in range(first, first + count):
            key = key_of(number)
            self.subscriptions.is_due(key, number)
            self.noise.ended(number / 1000)
            self.noise.admits(key.chat, limit=5, now=number / 1000)
            self.seen.repeats(f"wh_{number}", 0)
            self._contact_hash(key)
            await self.chat_info.details(key)
            if not number % 100:
                await trio.lowlevel.checkpoint()  # trio lets go of deadlines

    def sizes(self) -> list[int]:
        entries, counts = self.chat_info._entries, self.noise._counts
        return [len(self.subscriptions), len(self.seen._ids), len(entries), len(counts)]


async def test_a_hundred_thousand_contacts_leave_memory_as_it_was(tmp_path: Path) -> None:
    """Once the bounds are reached, ten times as many contacts take up nothing more."""
    async with open_all(settings_of(tmp_path / "data"), new_world(StringIO())) as services:
        crowd = Crowd(services)
        empty = blocks()
        await crowd.pass_by(0, MAX_CHATS + 1_000)
        full = blocks()
        await crowd.pass_by(CONTACTS, CONTACTS)
        grown = blocks() - full
    assert crowd.sizes()[:3] == [MAX_CONTACTS, MOST_IDS, MAX_CHATS]
    assert crowd.sizes()[3] <= MAX_KEYS + 1
    assert full - empty > MAX_CHATS  # what they remember would show
    assert grown < CONTACTS // 10  # trio keeps up to a thousand deadlines that are over


async def test_chats_that_have_nothing_to_do_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand chats are woken; each one's task looks into the store and goes."""
    made = note_chats(monkeypatch)
    settings = settings_of(tmp_path / "data")
    buffer = settings.buffer.model_copy(update={"idle_seconds": 0.001})
    presence = settings.presence.model_copy(update={"enabled": False})
    settings = settings.model_copy(update={"buffer": buffer, "presence": presence})
    async with (
        open_all(settings, new_world(StringIO())) as services,
        trio.open_nursery() as nursery,
    ):
        chats = ChatRegistry(services)
        await nursery.start(chats.run)
        grown = []
        for start in range(0, 1_000, 250):
            for number in range(start, start + 250):
                chats.wake(ChatKey("C", f"120363{number:012d}@g.us"))
            with trio.fail_after(30):
                await chats.wait_idle()
            assert chats.statistics().chats == 0
            gc.collect()
            grown.append(sum(chat() is not None for chat in made))
        assert len(made) == 1_000
        assert not chats._chats
        assert not chats._shortening
        assert grown[-1] <= 1
        nursery.cancel_scope.cancel()


# -- every so often -------------------------------------------------------------------------------


async def test_caches_drop_deleted_contacts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    log = new_world(StringIO()).log
    cache, subscriptions = ChatInfoCache(KnowsEverybody(), log), Subscriptions()
    await cache.details(key_of(1))
    subscriptions.is_due(key_of(1), trio.current_time())
    await trio.sleep(3500)
    await cache.details(key_of(2))
    subscriptions.is_due(key_of(2), trio.current_time())
    await trio.sleep(600)
    assert cache.prune(3600) == 1
    assert cache.prune(3600) == 0
    assert subscriptions.prune(trio.current_time(), 3600) == 1
    assert not subscriptions.is_due(key_of(2), trio.current_time())


async def test_memory_over_the_marks_is_logged(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    used = iter([200_000_000, 301_000_000, 701_000_000])
    monkeypatch.setattr(tasks, "resident_bytes", lambda: next(used))
    monkeypatch.setattr(tasks, "memory_limit", lambda: None)
    written = StringIO()
    log = new_world(written).log
    with trio.move_on_after(3.5):
        vitals = Metrics(version="1").vitals
        await watch_memory(log, vitals, 1.0, alert_bytes=300e6, limit_bytes=700e6)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["level"], line["megabytes"]) for line in lines] == [
        ("warning", 301),
        ("critical", 701),
    ]


async def test_memory_near_the_limit_of_the_service_is_logged(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Of systemd or the container: at 95 %, whatever the settings say of the process."""
    del autojump_clock
    metrics, written, current = Metrics(version="1"), StringIO(), tmp_path / "memory.current"
    limit = MemoryLimit(1_000_000_000, tmp_path, 2)
    monkeypatch.setattr(tasks, "memory_limit", lambda: limit)
    log = new_world(written).log
    for used in (949_000_000, 950_000_000):
        current.write_text(str(used))
        with trio.move_on_after(1.5):
            await watch_memory(log, metrics.vitals, 1.0, alert_bytes=0, limit_bytes=0)
    (line,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (line["level"], line["percent"], line["limit_megabytes"]) == ("critical", 95, 1000)
    assert value(metrics, "recado_memory_limit_ratio") == 0.95


async def test_a_late_event_loop_is_measured(autojump_clock: trio.testing.MockClock) -> None:
    metrics = Metrics(version="1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop_lag, metrics.vitals)
        await trio.testing.wait_all_tasks_blocked()
        autojump_clock.jump(1.75)  # as if a task had kept the loop for so long
        await trio.sleep(2.1)
        nursery.cancel_scope.cancel()
    assert value(metrics, "recado_event_loop_lag_max_seconds") == pytest.approx(0.75)
    assert value(metrics, "recado_event_loop_lag_seconds_bucket", le="0.5") == 2
    assert value(metrics, "recado_event_loop_lag_seconds_count") == 3


async def test_figures_of_queue_disk_and_dead_letters(tmp_path: Path) -> None:
    async with open_scene(tmp_path, housekeeping={"figures_seconds": 0.1}) as scene:
        scene.model.script(Step(status=400, code="invalid_prompt"))
        await scene.post(text_webhook("Hola", "m1"))
        await found(lambda: scene.events("turn ended"))
        gate = trio.Event()
        scene.model.script(say("Ya", gate=gate))
        await scene.post(text_webhook("¿Y?", "m2"))
        await scene.model.wait_requests(2)
        metrics = scene.environment.metrics
        labels = {"state": "in_turn"}
        await found(lambda: value(metrics, "recado_queue_messages", **labels) == 1)
        assert value(metrics, "recado_dead_letters") == 1
        assert value(metrics, "recado_ready") == 1
        assert (value(metrics, "recado_free_disk_bytes") or 0) > 0
        assert (value(metrics, "recado_store_bytes") or 0) > 0
        gate.set()
        await scene.gateway.wait_sent(LAURA, 2)
        scene.log.seek(0)
        scene.log.truncate()


@pytest.mark.sqlite
async def test_periodic_tasks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the running daemon: memory is watched, caches are pruned, the store makes checkpoints."""
    pruned: list[float] = []

    def prune(_cache: ChatInfoCache, seconds: float) -> int:
        pruned.append(seconds)
        return 0

    monkeypatch.setattr(ChatInfoCache, "prune", prune)
    often = {"memory_minutes": 0.001, "memory_alert_mb": 1, "memory_limit_mb": 0}
    often |= {"cache_minutes": 0.001, "chat_info_minutes": 0.001, "checkpoint_minutes": 0.001}
    async with open_scene(tmp_path, housekeeping=often) as scene:
        await found(lambda: scene.events("memory is high"))
        await scene.gateway.customer_says(LAURA, "Hola")
        await scene.gateway.wait_sent(LAURA)
        await scene.quiet()
        path, copy = scene.settings.data_dir / "recado.db", tmp_path / "copy.db"

        def folded() -> int:
            copy.write_bytes(path.read_bytes())  # without the log beside it
            with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as alone:
                return int(alone.execute("SELECT COUNT(*) FROM messages").fetchone()[0])

        await found(folded)
        await found(lambda: pruned)


# -- the store's log ------------------------------------------------------------------------------


@pytest.mark.sqlite
async def test_a_checkpoint_moves_the_log_into_the_file_beside_readers(tmp_path: Path) -> None:
    path = tmp_path / "recado.db"
    async with open_database(path, clock=lambda: 0) as database:
        large = "INSERT INTO samples (at, figures) VALUES (1, ?)"
        await database.write(lambda connection: connection.execute(large, ("x" * 200_000,)))
        size = path.stat().st_size
        assert database.wal_bytes() > 200_000
        await database.checkpoint()
        assert path.stat().st_size > size
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT COUNT(*) FROM samples").fetchone() == (1,)
        await database.checkpoint()


@pytest.mark.sqlite
async def test_work_that_can_wait_adds_little_to_a_log_that_a_long_read_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_LOG_BYTES", 100_000)
    monkeypatch.setattr(retention, "LOG_SECONDS", 0.01)
    rested: list[int] = []
    written = trio.Event()
    large = "INSERT INTO samples (at, figures) SELECT COUNT(*), ? FROM samples"
    async with store_in(tmp_path) as store, trio.open_nursery() as nursery:

        async def write() -> None:
            await store.database.write(lambda c: c.execute(large, ("x" * 50_000,)))

        async def work(number: int) -> None:
            for _ in range(COMMITS - 1):
                await write()
            written.set()
            await write_slice(store, write, is_urgent=number == 2)
            rested.append(number)

        with closing(sqlite3.connect(tmp_path / "recado.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM samples").fetchone()
            nursery.start_soon(work, 1)
            await written.wait()
            await work(2)
            assert rested == [2]
        await found(lambda: rested == [2, 1])


# -- stages and ends of processes in the store ----------------------------------------------------


async def test_old_stages_go_batch_by_batch(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.model.script(say("Hola"))
        await scene.post(text_webhook("Hola", "m1"))
        await scene.gateway.wait_sent(LAURA)
        await found(lambda: scene.events("turn ended"))
    settings = settings_of(tmp_path / "data")
    async with open_all(settings, new_world(StringIO())) as services:
        stages = services.store.stages
        await stages.add(
            [StageRow(1, "init", float(number), "") for number in range(STAGES_A_WRITE + 5)]
        )
        assert await stages.drop_old(before=1e6)
        assert not await stages.drop_old(before=1e6)
    assert count(tmp_path / "data", "stages", where={"at <": 1e6}) == 0
    assert count(tmp_path / "data", "stages") > 0


async def test_the_next_process_knows_how_the_last_one_ended(tmp_path: Path) -> None:
    async def one(*calls: str, now: float) -> EarlierEnds:
        async with store_in(tmp_path) as store:
            life = store.process_history
            earlier = await life.begin(now=now)
            for number, call in enumerate(calls):
                await getattr(life, call)(now=now + 10 + number)
            return earlier

    first = await one("stopping", "stopped", now=100)
    assert first == EarlierEnds(None, 0, {"clean": 0, "forced": 0, "crashed": 0})
    second = await one("stopping", now=200)
    assert second == EarlierEnds("clean", 1, {"clean": 1, "forced": 0, "crashed": 0})
    third = await one(now=300)
    assert third == EarlierEnds("forced", 0, {"clean": 1, "forced": 1, "crashed": 0})
    fourth = await one(now=400)
    assert fourth.last_end == "crashed"
    assert set(fourth.ends) == set(PROCESS_ENDS)


async def test_ends_of_processes_are_counted_and_logged(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        await scene.stop()
        await scene.start()
        metrics = scene.environment.metrics
        assert value(metrics, "recado_process_ends_total", how="clean") == 1
        assert (value(metrics, "recado_last_stop_seconds") or 0) > 0
        assert not scene.events("the last process did not end cleanly")
        await scene.crash()
        await scene.start()
        metrics = scene.environment.metrics
        assert value(metrics, "recado_process_ends_total", how="crashed") == 1
        assert value(metrics, "recado_process_ends_total", how="clean") == 1
        (told,) = scene.events("the last process did not end cleanly")
        assert told["how"] == "crashed"


# -- where memory goes ----------------------------------------------------------------------------


async def test_memory_is_watched_on_demand(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.url, timeout=30) as client:
        begun = (await client.post("/debug/memory")).json()
        assert begun["watching"]
        assert begun["grown"] == []
        assert begun["resident_bytes"] > 10_000_000
        assert tracemalloc.is_tracing()
        kept = ["x" * 1000 + str(number) for number in range(2_000)]
        grown = (await client.post("/debug/memory")).json()["grown"]
        assert len(kept) == 2_000
        ended = (await client.delete("/debug/memory")).json()
    assert ended == {"watching": False}
    assert not tracemalloc.is_tracing()
    assert grown[0]["bytes"] > 1_000_000
    assert grown[0]["where"].startswith("test_housekeeping.py:")


async def test_a_stranger_does_not_watch_memory(tmp_path: Path) -> None:
    token = {"admin_token": SecretStr("invented-admin-token")}
    async with open_scene(tmp_path, web=token) as scene, httpx.AsyncClient(timeout=30) as client:
        assert (await client.post(f"{scene.url}/debug/memory")).status_code == 401
        assert not tracemalloc.is_tracing()
