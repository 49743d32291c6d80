"""What systemd is told, by a daemon on a stage that writes it down."""

import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from support import stage as stages
from support.brisk import open_brisk_stage
from support.model_script import say
from support.stage import LAURA, Stage
from trio.testing import MockClock

from daemon.conversation.opening import Environment
from daemon.ledger.drivers.sqlite.database import SqliteDatabase
from daemon.ops import status
from daemon.system.systemd import EXTEND_SECONDS, keep_extending, reloading_notice


class Notices:
    """Everything that systemd was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.watchdog_seconds = 300.0
        self._changed = trio.Event()

    def notify(self, message: str) -> None:
        self.messages.append(message)
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, pattern: str, after: int = 0) -> str:
        """The first message that matches after so many, when it has come."""
        while True:
            for message in self.messages[after:]:
                if re.search(pattern, message):
                    return message
            await self._changed.wait()


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Notices:
    """Stages tell this one, and as often as they can."""
    found, make = Notices(), stages.new_world

    def new_world(*arguments: object) -> Environment:
        environment = make(*arguments)  # type: ignore[arg-type]
        return replace(environment, notify=found.notify, watchdog_seconds=found.watchdog_seconds)

    monkeypatch.setattr(stages, "new_world", new_world)
    monkeypatch.setattr(status, "STATUS_SECONDS", 0.02)
    return found


async def test_a_start_a_turn_and_a_stop_as_systemd_sees_them(
    notices: Notices, tmp_path: Path
) -> None:
    thought = trio.Event()
    async with open_brisk_stage(tmp_path / "data", budget={"total_tokens": 1_000_000}) as stage:
        assert notices.messages[0].startswith("READY=1\nSTATUS=serving http://127.0.0.1:")
        await notices.wait(r"; 0 chats, 0 runs, 0 waiting; budget 0 %$")
        await notices.wait("^WATCHDOG=1$")
        stage.model.script(say("Claro", gate=thought))
        await stage.gateway.customer_says(LAURA, "Hola")
        await notices.wait("; 1 chat, 1 run, 0 waiting")
        thought.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.stop()
    assert "STOPPING=1" in notices.messages
    lines = [message for message in notices.messages if message.startswith("STATUS=")]
    assert all(line != following for line, following in pairwise(lines))


async def test_a_reload_begins_and_ends_and_a_refusal_stays_in_the_status(
    notices: Notices, tmp_path: Path
) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        stage.settings.assistant.instructions_file.unlink()
        stage.settings.assistant.instructions_file.mkdir()
        began = len(notices.messages)
        stage.environment.reload.ring()
        await notices.wait("reload refused: assistant.instructions_file")
        kinds = [message.split("\n")[0] for message in notices.messages[began:]]
        assert kinds.index("RELOADING=1") < kinds.index("READY=1")
        stage.settings.assistant.instructions_file.rmdir()
        stage.settings.assistant.instructions_file.write_text("You answer for a museum.")
        began = len(notices.messages)
        stage.environment.reload.ring()
        await notices.wait(r"^STATUS=(?!.*refused)", after=began)
        assert reloads(stage) == {"applied": 1, "refused": 1}
        forget(stage)


def forget(stage: Stage) -> None:
    """Drop what was logged, errors that were wanted among it."""
    stage.log.seek(0)
    stage.log.truncate()


def reloads(stage: Stage) -> dict[str, float]:
    """How often it was tried, by how it went."""
    (family,) = stage.environment.metrics.reloads.collect()
    return {s.labels["result"]: s.value for s in family.samples if s.name.endswith("_total")}


async def test_a_store_that_does_not_answer_starves_the_watchdog(
    notices: Notices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_database: SqliteDatabase) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(SqliteDatabase, "answer", answer)
    notices.watchdog_seconds = 0.3
    async with open_brisk_stage(tmp_path / "data") as stage:
        while not stage.events("the watchdog is not fed"):
            await notices.wait("STATUS")
            await trio.sleep(0.01)
        assert stage.events("the watchdog is not fed")[0]["silent"] == "the store's writer"
        assert "WATCHDOG=1" not in notices.messages
        await stage.stop()
        forget(stage)


async def test_a_long_start_asks_for_time_and_a_short_one_does_not(
    autojump_clock: MockClock,
) -> None:
    notices = Notices()
    with trio.move_on_after(EXTEND_SECONDS):
        await keep_extending(notices.notify)
    assert notices.messages == ["EXTEND_TIMEOUT_USEC=30000000"] * 2
    assert autojump_clock.current_time() == EXTEND_SECONDS


def test_the_notice_of_a_reload_has_the_time_that_systemd_compares() -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = reloading_notice().split("\n")
    assert first == "RELOADING=1"
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= after
