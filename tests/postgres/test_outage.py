"""The server is away while the daemon runs: nothing is lost, and the daemon recovers by itself."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest
import trio
from pydantic import SecretStr
from support.model_script import say
from support.postgres_proxy import Proxy
from support.rows import select
from support.scenes import found, outcomes
from support.stage import LAURA, open_stage, text_webhook

from daemon.conversation import recovery, registry
from daemon.errors import StoreUnavailable
from daemon.ledger.process_records import DashboardLog
from daemon.ops import live_log


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chats and the recovery try again at once."""
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.01)
    monkeypatch.setattr(registry, "CRASH_CAP_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "SWEEP_GRACE_SECONDS", 0.1)


async def answered(call: Callable[[], Awaitable[httpx.Response]], status: int) -> None:
    """Repeat a call until it is answered with a status."""
    while True:
        if (await call()).status_code == status:
            return
        await trio.sleep(0.05)


async def test_calls_are_refused_while_the_server_is_away_and_it_recovers_by_itself(
    tmp_path: Path, through: str, proxy: Proxy
) -> None:
    async with open_stage(
        tmp_path / "data",
        store={"url": SecretStr(through)},
        housekeeping={"sweep_seconds": 0.1, "figures_seconds": 0.1},
    ) as stage:
        stage.model.script(say("Claro"))
        proxy.outage()
        call = text_webhook("Hola", "m-1")
        assert (await stage.post(call)).status_code == 503
        await answered(partial(stage.get, "/ready"), 503)
        proxy.refuses = False
        await answered(partial(stage.get, "/ready"), 200)
        await answered(partial(stage.post, call), 200)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Claro"]


async def test_a_turn_is_not_given_up_because_the_server_was_away(
    tmp_path: Path, through: str, proxy: Proxy
) -> None:
    """More tries fail than a turn has that crashes its task."""
    gate = trio.Event()
    async with open_stage(
        tmp_path / "data", store={"url": SecretStr(through)}, housekeeping={"sweep_seconds": 0.1}
    ) as stage:
        stage.model.script(say("Claro", gate=gate), say("Claro"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        proxy.outage()
        gate.set()
        tries = 2 * registry.MAX_CRASHES
        await found(lambda: len(stage.events("the store is in trouble")) > tries)
        proxy.refuses = False
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == ["Claro"]
        assert not stage.events("chat crashed")


async def test_the_live_log_goes_on_when_the_server_is_back(
    tmp_path: Path, through: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines about the trouble itself are not lost in a pause of its task."""
    monkeypatch.setattr(live_log, "WRITE_SECONDS", 0.05)
    last_id, failures = DashboardLog.last_id, count()
    failed: list[int] = []

    async def looked(log: DashboardLog) -> int:
        try:
            return await last_id(log)
        except StoreUnavailable:
            failed.append(next(failures))
            raise

    monkeypatch.setattr(DashboardLog, "last_id", looked)
    place = tmp_path / "data"
    async with open_stage(place, store={"url": SecretStr(through)}) as stage:
        proxy.outage()
        await found(lambda: failed, lambda times: len(times) > 3)
        proxy.refuses = False
        await answered(partial(stage.post, text_webhook("Hola", "m-1")), 200)
        await found(lambda: select(place, "log_lines", "id", where={"kind": "message"}))
        again = stage.events("the store is away, the task begins again")
        assert "live log" not in {line["task"] for line in again}
