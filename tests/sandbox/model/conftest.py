"""The simulated model server behind real HTTP, and a client that knows its key."""

import random
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from support.model import ScriptedModel
from support.plain import NO_TLS


@pytest.fixture
def server() -> ScriptedModel:
    rng = random.Random(7)  # noqa: S311 - tests are to be repeatable
    return ScriptedModel(now=trio.current_time, rng=rng, api_key="sk-test")


@pytest.fixture
async def client(server: ScriptedModel, nursery: trio.Nursery) -> AsyncIterator[httpx.AsyncClient]:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.graceful_timeout = 1
    config.errorlog = None
    stop = trio.Event()
    await nursery.start(server.run)
    serving = partial(serve, server, config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]
    urls: list[str] = await nursery.start(serving)
    headers = {"authorization": "Bearer sk-test"}
    async with httpx.AsyncClient(verify=NO_TLS, base_url=urls[0] + "/v1", headers=headers) as http:
        yield http
    stop.set()
