"""The simulated model server behind real HTTP, and a client that knows its key."""

import random
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from support.model import ScriptedModel, served
from support.plain import NO_TLS


@pytest.fixture
def server() -> ScriptedModel:
    rng = random.Random(7)  # noqa: S311 - tests are to be repeatable
    return ScriptedModel(now=trio.current_time, rng=rng, api_key="sk-test")


@pytest.fixture
async def client(server: ScriptedModel) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer sk-test"}
    async with (
        served(server) as url,
        httpx.AsyncClient(verify=NO_TLS, base_url=url, headers=headers, timeout=60) as http,
    ):
        yield http
