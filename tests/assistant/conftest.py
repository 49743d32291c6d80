"""The engine on one side, the simulated model server on the other, HTTP between them."""

import gc
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from support.model import ScriptedModel, served

from daemon.assistant.port import Engine
from daemon.assistant.responses_connection import MAX_CONNECTIONS
from daemon.assistant.responses_engine import ResponsesEngine, open_responses_engine
from daemon.domain.messages import JsonObject, ModelRequest

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)  # noqa: S311 - tests are to be repeatable


@pytest.fixture
def server(rng: random.Random) -> ScriptedModel:
    return ScriptedModel(now=trio.current_time, rng=rng, api_key=KEY)


@pytest.fixture
async def server_url(server: ScriptedModel) -> AsyncIterator[str]:
    async with served(server) as url:
        yield url
    gc.collect()  # so that a generator left behind by this test is this test's error


@pytest.fixture
def open_engine(
    server_url: str, rng: random.Random
) -> Callable[..., AbstractAsyncContextManager[Engine]]:
    """Give a way to open engines on the server; at its end no connection may be in use."""

    @asynccontextmanager
    async def open_checked(**settings: Any) -> AsyncIterator[Engine]:
        values: dict[str, Any] = {
            "base_url": server_url,
            "api_key": KEY,
            "model": "gpt-6-luna",
            "timeout_seconds": 60,
            "rng": rng,
            **settings,
        }
        async with open_responses_engine(**values) as engine:
            yield engine
            assert isinstance(engine, ResponsesEngine)
            if engine._connection.built is not None:
                client: Any = engine._connection.built._client._client
                assert client._connections._places.value == MAX_CONNECTIONS

    return open_checked


@pytest.fixture
def ask() -> Callable[..., ModelRequest]:
    """Give a way to write requests: a customer's message, and further items."""

    def build(text: str, *more: JsonObject, **fields: Any) -> ModelRequest:
        item = {"role": "user", "content": [{"type": "input_text", "text": text}]}
        return ModelRequest(instructions="Be kind.", items=(item, *more), **fields)

    return build
