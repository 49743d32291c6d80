"""Forgetting and retention hold the store's only writer for 50 ms at most in one go.

The writer's own processor time is measured, from BEGIN to the end of COMMIT: how busy the machine
or its disk is does not change it.
"""

import gc
import io
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr
from support.ledgers import CHANNEL, LAURA, OPERATOR, PEDRO, message, open_turn
from support.rows import count
from support.services import open_all
from support.stage import new_world, quick_settings

from daemon.conversation.registry import ChatRegistry
from daemon.conversation.services import ChatServices
from daemon.domain.messages import ChatKey, Message, Quote, Webhook
from daemon.domain.records import NewPart
from daemon.ledger.drivers.port import Connection
from daemon.ledger.forget.forget import look
from daemon.ledger.forget.stages import IDS, Batch, Work
from daemon.ops.maintenance.retention import DAY_SECONDS, Forgetter, drop_old_events

MOST_SECONDS = 0.050
"""What one write may take."""
GROUP = ChatKey(CHANNEL, "120363000000000001@g.us")
NUMBER = LAURA.chat.partition("@")[0]
TURNS, MESSAGES_A_TURN = 100, 30
QUOTED = 2_000
"""Messages of Laura in a group, each quoted by Pedro."""
EVENTS = 600
LARGE = "x" * 60_000
"""In raw events, which are still kept in their rows and not in files."""
DAYS_AGO = 40


pytestmark = pytest.mark.usefixtures("no_collections")


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Collect nothing in the writer's thread: what other tests have left would count as a write."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Writes:
    """The processor seconds that each transaction has taken since `forget`."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def observe(self, seconds: float) -> None:
        """Note one, in the place of the metric."""
        self.seconds.append(seconds)


@asynccontextmanager
async def measured(
    data_dir: Path, writes: Writes, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ChatServices]:
    """What the daemon's tasks work with, on a store whose clock is its writer's processor time."""
    token = SecretStr("invented-token")
    settings = quick_settings(
        data_dir, {"whapi": {"token": token}, "assistant": {"api_key": token}}
    )
    world = replace(new_world(io.StringIO()), clock=time.thread_time)
    monkeypatch.setattr(world.metrics.store_commit, "observe", writes.observe)
    async with open_all(settings, world) as services:
        yield services


async def accept(
    services: ChatServices, *messages: Message, raw: bytes, verdict: str, days_ago: float = DAYS_AGO
) -> None:
    """Store one call with these messages as if it had come so many days ago."""
    await services.store.inbox.accept(
        Webhook(channel=CHANNEL, event="messages.post", messages=messages),
        raw,
        verdicts=[verdict] * len(messages),
        now=services.telemetry.now() - days_ago * DAY_SECONDS,
        pause_until=0,
    )


async def accept_all(services: ChatServices, calls: Iterable[list[Message]], verdict: str) -> None:
    """Store some calls, each with a large body, in as few transactions as they fit into."""
    async with trio.open_nursery() as nursery:
        for said in calls:
            raw = json.dumps([*(each.id for each in said), LARGE]).encode()
            nursery.start_soon(partial(accept, services, *said, raw=raw, verdict=verdict))


async def talk(services: ChatServices) -> None:
    """Let Laura have said some thousand things in her chat, and been answered."""
    ids = [f"laura-{number}" for number in range(TURNS * MESSAGES_A_TURN)]
    said = [message(each, f"¿Y el {each}, por favor?") for each in ids]
    await accept_all(services, [said[n : n + 5] for n in range(0, len(said), 5)], "")
    for number in range(TURNS):
        turn = await open_turn(services.store, limit=MESSAGES_A_TURN)
        items = [{"role": "user", "content": each.message.id} for each in turn.messages]
        now = services.telemetry.now() - DAYS_AGO * DAY_SECONDS
        parts = [NewPart(f"Respuesta {number}")]
        await services.store.turns.conclude(turn, items=items, parts=parts, now=now)
        (row,) = await services.store.outbox.open_rows(LAURA)
        await services.store.outbox.sending(row, now=now)
        await services.store.outbox.sent(row, f"sent-{number}", now=now, finishes=turn)


async def talk_in_group(services: ChatServices) -> None:
    """Let Laura have written in a group, and Pedro have quoted all of it."""
    for start in range(0, QUOTED, 50):
        numbers = range(start, start + 50)
        spoken = [message(f"group-{n}", f"Palabra {n}", key=GROUP, author=NUMBER) for n in numbers]
        quoting = [
            message(
                f"quoting-{each.id}",
                f"De acuerdo con {NUMBER}",
                key=GROUP,
                author=PEDRO.chat.partition("@")[0],
                quote=Quote(id=each.id, author=NUMBER, kind="text", body="Palabra"),
            )
            for each in spoken
        ]
        raw = json.dumps([each.id for each in spoken]).encode()
        await accept(services, *spoken, *quoting, raw=raw, verdict="not addressed to us")


@asynccontextmanager
async def forgetting(services: ChatServices, data_dir: Path) -> AsyncIterator[Forgetter]:
    """The task that forgets, at work; retention of chats is not."""
    forgetter = Forgetter(
        services.store, services.telemetry, ChatRegistry(services), data_dir, clock=time.thread_time
    )
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await forgetter.run(every_seconds=3600, days=0, retention_seconds=3600)

        nursery.start_soon(run, name="forgetting")
        yield forgetter
        nursery.cancel_scope.cancel()


async def test_a_person_with_thousands_of_messages_is_forgotten_in_short_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, rows = Writes(), []

    def looked(connection: Connection, work: Work) -> Batch:
        batch = look(connection, work)
        rows.append(len(batch.rows))
        return batch

    monkeypatch.setattr(f"{Forgetter.__module__}.look", looked)
    async with measured(tmp_path, writes, monkeypatch) as services:
        await talk(services)
        await talk_in_group(services)
        async with forgetting(services, tmp_path) as forgetter:
            writes.seconds.clear()
            done = await forgetter.forget([LAURA.chat], by=OPERATOR)
        assert (done.messages, done.turns) == (TURNS * MESSAGES_A_TURN + QUOTED, TURNS)
        assert (done.mentions, done.events) == (QUOTED, TURNS * 6 + QUOTED // 50)
        # In a small store many rows are quickly changed; in a large one each costs several pages.
        assert max(rows) <= IDS
        assert max(writes.seconds) < MOST_SECONDS


async def test_retention_lets_go_of_old_chats_and_large_bodies_in_short_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = Writes()
    async with measured(tmp_path, writes, monkeypatch) as services:
        await talk(services)
        said = [[message(f"pedro-{number}", key=PEDRO)] for number in range(EVENTS)]
        await accept_all(services, said, "not now")
        writes.seconds.clear()
        assert (
            await drop_old_events(services.store, services.telemetry, event_days=30)
            == EVENTS + TURNS * 6
        )
        async with forgetting(services, tmp_path) as forgetter:
            assert await forgetter.drop_conversations(days=30) == 2
        assert count(services.store, "messages") == 0
        assert max(writes.seconds) < MOST_SECONDS
