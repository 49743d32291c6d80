"""The `responses` engine against a server that we did not write: `make engines URL=…`.

Skipped unless RECADO_ENGINE_URL names one. docs/engines.md says which were asked, and how.
"""

import os
import random
from collections.abc import AsyncIterator, Callable

import pytest
import trio

from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.domain.messages import ModelRequest, ToolSpec
from daemon.errors import ContextTooLong, ModelTemporary

URL = os.environ.get("RECADO_ENGINE_URL", "")
KEY = os.environ.get("RECADO_ENGINE_KEY", "") or "sk-test"
MODEL = os.environ.get("RECADO_ENGINE_MODEL", "") or "gpt-6-luna"
FIXTURES = os.environ.get("RECADO_ENGINE_FIXTURES", "")
SECONDS = 120

pytestmark = pytest.mark.skipif(
    not URL, reason="asks a model server that we did not write: make engines URL=http://…/v1"
)
needs_fixtures = pytest.mark.skipif(
    not FIXTURES, reason="needs a mock that has loaded tests/assistant/aimock_fixtures.json"
)
Ask = Callable[..., ModelRequest]

ROOMS = ToolSpec(
    name="rooms",
    description="Tells whether there is a free room on a day.",
    parameters={
        "type": "object",
        "properties": {"day": {"type": "string", "description": "YYYY-MM-DD"}},
        "required": ["day"],
        "additionalProperties": False,
    },
)


@pytest.fixture
async def engine(rng: random.Random) -> AsyncIterator[Engine]:
    async with open_responses_engine(
        base_url=URL, api_key=KEY, model=MODEL, timeout_seconds=SECONDS, rng=rng
    ) as opened:
        yield opened


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


async def test_a_text_is_answered(engine: Engine, ask: Ask) -> None:
    with trio.fail_after(SECONDS):
        response = await engine.respond(ask("Hola, ¿cómo está? 🏨"), on_started=ignore)
    assert response.text
    assert response.id
    assert not response.calls


async def test_a_conversation_goes_on(engine: Engine, ask: Ask) -> None:
    """The answer's own items are accepted as input again, and so are a note and an old summary."""
    note = {"role": "developer", "content": "Fecha: 23/11/2026"}
    again = {"role": "user", "content": "Hola otra vez"}
    with trio.fail_after(SECONDS):
        first = await engine.respond(ask("Hola"), on_started=ignore)
        second = await engine.respond(ask("Hola", *first.items, note, again), on_started=ignore)
    assert second.text


async def test_a_tool_round(engine: Engine, ask: Ask) -> None:
    """All calls are answered in the next input, and the model answers with words."""
    words = "¿Tienen cupo el 2026-12-24 y el 2026-12-25? Use la herramienta rooms."
    with trio.fail_after(SECONDS):
        first = await engine.respond(ask(words, tools=(ROOMS,)), on_started=ignore)
        assert [made.name for made in first.calls] == ["rooms"] * len(first.calls)
        assert first.calls
        assert len({made.call_id for made in first.calls}) == len(first.calls)
        outputs = (
            {"type": "function_call_output", "call_id": made.call_id, "output": '"libre"'}
            for made in first.calls
        )
        request = ask(words, *first.items, *outputs, tools=(ROOMS,))
        second = await engine.respond(request, on_started=ignore)
    assert second.text


async def test_cancelling_leaves_the_engine_usable(engine: Engine, ask: Ask) -> None:
    with trio.fail_after(SECONDS):
        await engine.warm_up()
        with trio.move_on_after(0.001):
            await engine.respond(ask("Hola"), on_started=ignore)
        response = await engine.respond(ask("Hola"), on_started=ignore)
    assert response.text


async def test_models_are_listed(engine: Engine) -> None:
    with trio.fail_after(SECONDS):
        assert await engine.list_models()


@needs_fixtures
async def test_parallel_calls_are_in_order(engine: Engine, ask: Ask) -> None:
    with trio.fail_after(SECONDS):
        response = await engine.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
    days = ['{"day":"2026-12-24"}', '{"day":"2026-12-25"}']
    assert [made.arguments for made in response.calls] == days


@needs_fixtures
async def test_too_many_requests(engine: Engine, ask: Ask) -> None:
    with trio.fail_after(SECONDS), pytest.raises(ModelTemporary) as caught:
        await engine.respond(ask("error 429"), on_started=ignore)
    assert "sk-test" not in str(caught.value)


@needs_fixtures
async def test_context_too_long(engine: Engine, ask: Ask) -> None:
    with trio.fail_after(SECONDS), pytest.raises(ContextTooLong):
        await engine.respond(ask("error largo"), on_started=ignore)
