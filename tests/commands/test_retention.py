"""Raw events are let go of when they are too old; what was read from them stays."""

import io
import json
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from pydantic import SecretStr
from support.rows import count, rows
from support.services import open_all
from support.stage import new_world, quick_settings, text_webhook

from daemon.conversation.services import ChatServices
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.ledger.files import BATCH
from daemon.ops.maintenance.retention import DAY_SECONDS, drop_old_events, repeat
from daemon.settings import Settings

LARGE = "x" * 100_000


class Noticed(io.StringIO):
    """A log that sets an event when a line with certain words is written."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.seen = trio.Event()
        self._words = words

    def write(self, text: str) -> int:
        if self._words in text:
            self.seen.set()
        return super().write(text)


def settings_of(data_dir: Path) -> Settings:
    """Settings with which everything can be opened; nothing is called."""
    token = SecretStr("invented-token")
    return quick_settings(data_dir, {"whapi": {"token": token}, "assistant": {"api_key": token}})


async def accept(
    services: ChatServices, number: int, *, days_ago: float, padding: str = ""
) -> None:
    """Store one event as if it had come so many days ago."""
    # Of one time for all, so that the same number is the same bytes.
    call = text_webhook("Hola", f"id-{number}", padding=padding, timestamp=1_763_890_000)
    raw = json.dumps(call).encode()
    webhook = parse_webhook(raw)
    await services.store.inbox.accept(
        webhook,
        raw,
        verdicts=["not now"] * len(webhook.messages),
        now=services.telemetry.now() - days_ago * DAY_SECONDS,
        pause_until=0,
    )


@pytest.mark.sqlite  # PostgreSQL has large bodies in their rows
async def test_old_bodies_and_files_go_and_the_messages_stay(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    settings = settings_of(data_dir)
    async with open_all(settings, new_world(io.StringIO())) as services:
        for number in range(BATCH + 50):
            await accept(services, number, days_ago=31)
        await accept(services, 1001, days_ago=31, padding=LARGE)
        await accept(services, 1002, days_ago=40, padding=LARGE + "y")
        await accept(services, 1002, days_ago=1, padding=LARGE + "y")
        await accept(services, 1003, days_ago=29)
        assert len(list((data_dir / "events").iterdir())) == 2
        assert (
            await drop_old_events(services.store, services.telemetry, event_days=30) == BATCH + 52
        )
        assert await drop_old_events(services.store, services.telemetry, event_days=30) == 0
    stored = rows(data_dir, "events", order="id")
    kept = [row for row in stored if row["body"] is not None or row["body_file"]]
    assert [row["id"] for row in kept] == [BATCH + 53, BATCH + 54]
    # The file that a newer event shares is still there.
    assert len(list((data_dir / "events").iterdir())) == 1
    assert count(data_dir, "messages") == BATCH + 53


async def test_it_runs_periodically_and_logs_its_result(tmp_path: Path) -> None:
    log = Noticed("old events dropped")
    settings = settings_of(tmp_path / "data")
    async with (
        open_all(settings, new_world(log)) as services,
        trio.open_nursery() as nursery,
    ):
        await accept(services, 1, days_ago=31)

        async def keep() -> None:
            days, log = settings.retention.event_days, services.telemetry.log
            drop = partial(drop_old_events, services.store, services.telemetry, event_days=days)
            await repeat(drop, 3600, log, "old events not dropped")

        nursery.start_soon(keep, name="retention")
        with trio.fail_after(30):
            await log.seen.wait()
        nursery.cancel_scope.cancel()


async def test_zero_days_keep_everything(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with (
        open_all(settings, new_world(io.StringIO())) as services,
        trio.open_nursery() as nursery,
    ):
        await accept(services, 1, days_ago=4000)

        async def keep() -> None:
            drop = partial(drop_old_events, services.store, services.telemetry, event_days=0)
            await repeat(drop, 3600, services.telemetry.log, "old events not dropped")

        nursery.start_soon(keep, name="retention")
        await trio.testing.wait_all_tasks_blocked()
        # A write of its own would be stored before this one.
        await services.store.database.write(lambda _connection: None)
        nursery.cancel_scope.cancel()
    assert count(tmp_path / "data", "events", where={"body !=": None}) == 1
