"""What ``/health``, ``/locks`` and ``/metrics`` say of the work while it is done."""

from pathlib import Path

import httpx
import trio
from pydantic import SecretStr
from support.model_script import say
from support.plain import NO_TLS
from support.process import body_of
from support.scenes import closes_with, open_scene
from support.stage import LAURA, Stage, text_webhook

HEALTH = {
    *("status", "timestamp", "environment", "port", "initialized", "activeBuffers"),
    *("activeProcessing", "threadStats", "waitingForPerson"),
}


async def counted(stage: Stage, *series: str) -> list[float]:
    """The values of some series."""
    lines = (await stage.get("/metrics")).text.splitlines()
    values = dict(line.rpartition(" ")[::2] for line in lines)
    return [float(values[name]) for name in series]


async def test_a_window_a_run_and_an_answer_are_seen(tmp_path: Path) -> None:
    """The window is a buffer, the run holds the chat's lock, the answer leaves neither."""
    async with open_scene(tmp_path, buffer=closes_with(2)) as stage:
        thought = trio.Event()
        stage.model.script(say("Con gusto", gate=thought))
        await stage.gateway.customer_says(LAURA, "Hola", deliver="acknowledged")
        health = body_of(await stage.get("/health"))
        assert set(health) == HEALTH
        assert (health["activeBuffers"], health["activeProcessing"]) == (1, 0)
        stats = body_of(await stage.get("/locks"))["stats"]
        assert stats == {"activeLocks": 0, "activeQueues": 1, "totalUsers": 1}
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.model.wait_requests(1)
        health = body_of(await stage.get("/health"))
        assert (health["activeBuffers"], health["activeProcessing"]) == (0, 1)
        locks = body_of(await stage.get("/locks"))
        assert locks["stats"] == {"activeLocks": 1, "activeQueues": 0, "totalUsers": 1}
        assert [chat["state"] for chat in locks["chats"]] == ["thinking"]
        thought.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        health = body_of(await stage.get("/health"))
        assert (health["activeBuffers"], health["activeProcessing"]) == (0, 0)


async def test_tokens_of_each_kind_and_turns_are_counted(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        kinds = [f'recado_tokens_total{{kind="{kind}"}}' for kind in ("input", "output")]
        assert all(await counted(stage, *kinds))
        times = ["recado_last_run_latency_seconds", "recado_send_seconds_sum"]
        assert max(await counted(stage, *times)) < 60


async def test_an_answer_that_is_not_fit_is_counted_as_a_fallback(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.script(*[say("")] * 2)
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert await counted(stage, "recado_fallbacks_total") == [1]


async def test_each_result_of_a_webhook_is_counted(tmp_path: Path) -> None:
    """The gateway's own calls may be among them."""
    web = {"webhook_secret": (SecretStr("a-secret-of-the-hook"),), "max_body_mb": 0.01}
    async with (
        open_scene(tmp_path, web={"port": 0, **web}) as stage,
        httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as client,
    ):
        bearer = {"Authorization": "Bearer a-secret-of-the-hook"}
        call = text_webhook("Hola", "m-1")
        answers = [
            await client.post("/hook", json=call),
            await client.post("/hook", json=call, headers=bearer),
            await client.post("/hook", content=b"[", headers=bearer),
            await client.post("/hook", content=b"x" * 20_000, headers=bearer),
        ]
        assert [answer.status_code for answer in answers] == [401, 200, 400, 413]
        results = ("unauthorized", "stored", "invalid", "too_large")
        series = [f'recado_webhooks_total{{result="{result}"}}' for result in results]
        assert all(await counted(stage, *series))
        await stage.gateway.wait_sent(LAURA)
