"""Two PostgreSQL servers: what is acknowledged is at both, and outlives the primary."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import SecretStr
from support.model_script import say
from support.place import POSTGRES
from support.postgres import binaries
from support.postgres_pair import PostgresPair, running_pair
from support.rows import select
from support.scenes import found, outcomes
from support.stage import LAURA, Stage, open_stage, text_webhook

from daemon.conversation import recovery, registry
from daemon.http import hook
from daemon.ledger.drivers.postgres import writer
from daemon.ledger.drivers.postgres.connection import connect
from daemon.ledger.drivers.postgres.tables import migrate


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresPair]:
    """A primary and its standby, with the tables of this test."""
    programs = binaries()
    if programs is None:
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql")
    monkeypatch.setenv("TEST_STORE", "postgres")
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.01)
    monkeypatch.setattr(registry, "CRASH_CAP_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "SWEEP_GRACE_SECONDS", 0.1)
    with running_pair(programs) as pair:
        POSTGRES.adopt(tmp_path / "data", pair.url)
        with closing(connect(pair.url)) as connection:
            migrate(connection)
        yield pair


def stage_of(folder: Path, pair: PostgresPair) -> AbstractAsyncContextManager[Stage]:
    return open_stage(
        folder / "data",
        store={"url": SecretStr(pair.url)},
        housekeeping={"sweep_seconds": 0.1, "figures_seconds": 0.1},
    )


async def test_nothing_is_acknowledged_without_the_standby(
    tmp_path: Path, pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "STORE_SECONDS", 0.5)
    monkeypatch.setattr(writer, "STUCK_SECONDS", 0.6)
    async with stage_of(tmp_path, pair) as stage:
        stage.model.script(say("Claro"))
        pair.standby.stop()
        call = text_webhook("Hola", "m-1")
        assert (await stage.post(call)).status_code == 503
        await refused_at_once(stage, call)
        pair.standby.start()
        with trio.fail_after(60):
            while (await stage.post(call)).status_code != 200:  # noqa: ASYNC110 - a gateway
                await trio.sleep(0.1)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Claro"]


async def refused_at_once(stage: Stage, call: Any) -> None:
    """Nothing queues up behind a commit that waits."""
    with trio.fail_after(60):
        while True:
            assert (await stage.post(call)).status_code == 503
            if "does not answer" in stage.events("a webhook was not stored")[-1]["reason"]:
                return


async def test_what_was_acknowledged_outlives_the_primary(
    tmp_path: Path, pair: PostgresPair
) -> None:
    gate = trio.Event()
    async with stage_of(tmp_path, pair) as stage:
        stage.model.script(say("Claro", gate=gate), say("Claro"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        pair.fail_over()
        pair.follow()
        gate.set()
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Claro"]
        assert select(tmp_path / "data", "messages", "state", where={"from_me": 0}) == [
            ("answered",)
        ]
