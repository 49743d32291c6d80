"""What every engine keeps to, asked of each of them against its simulated server."""

import random
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import trio
from support.model import ScriptedModel
from support.model_script import Step, call, say

from daemon.assistant import assistants_engine, remote_threads, responses_engine
from daemon.assistant.assistants_engine import open_assistants_engine
from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse, ToolSpec
from daemon.errors import (
    AssistantError,
    ContextTooLong,
    ModelRejected,
    ModelTemporary,
    ResponseGone,
    StoreUnavailable,
)
from daemon.sandbox.model_wire import CallTool

KEY = "sk-test-0123456789abcdef"
WORDS = "mi dirección es Calle Falsa 123"
Ask = Callable[..., ModelRequest]
Open = Callable[..., AbstractAsyncContextManager[Engine]]

ROOMS = ToolSpec(
    name="rooms",
    description="Free rooms.",
    parameters={
        "type": "object",
        "properties": {"day": {"type": "string"}},
        "required": ["day"],
        "additionalProperties": False,
    },
)


@pytest.fixture(params=["responses", "background", "webhook", "assistants"])
def engine(
    request: pytest.FixtureRequest,
    server_url: str,
    rng: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> Open:
    """Give a way to open each of the engines, with short pauses between looks."""
    monkeypatch.setattr(assistants_engine, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(assistants_engine, "AFTER_TOOLS_SECONDS", 0.01)
    monkeypatch.setattr(remote_threads, "RACE_CAP_SECONDS", 0.02)
    monkeypatch.setattr(responses_engine, "NOTICE_SECONDS", 0.02)

    @asynccontextmanager
    async def open_it(*, api_key: str = KEY, timeout_seconds: float = 20) -> AsyncIterator[Engine]:
        common = {
            "base_url": server_url,
            "api_key": api_key,
            "model": "gpt-6-luna",
            "timeout_seconds": timeout_seconds,
        }
        opening: AbstractAsyncContextManager[Engine]
        if request.param == "assistants":
            opening = partial(open_assistants_engine, assistant_id="asst_1", polls=1000)(**common)  # type: ignore[arg-type]
        else:
            opening = partial(
                open_responses_engine,
                rng=rng,
                background=request.param != "responses",
                by_webhook=request.param == "webhook",
            )(**common)  # type: ignore[arg-type]
        with trio.fail_after(60):
            async with opening as opened:
                yield opened

    return open_it


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


def with_outputs(response: ModelResponse, *outputs: str) -> list[JsonObject]:
    pairs = zip(response.calls, outputs, strict=True)
    return [
        *response.items,
        *(
            {"type": "function_call_output", "call_id": made.call_id, "output": output}
            for made, output in pairs
        ),
    ]


async def test_a_text_is_answered(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """Words, usage, and an id where there is something to resume; nothing is left running."""
    announced: list[str] = []

    async def announce(response_id: str) -> None:
        announced.append(response_id)  # as the store does: a write handed over is done
        await trio.lowlevel.checkpoint()

    async with engine() as opened:
        response = await opened.respond(ask("Hola, ¿tienen wifi? 🏨 ñandú"), on_started=announce)
        assert announced == ([response.id] if opened.can_resume else [])
    assert "¿tienen wifi? 🏨 ñandú" in response.text
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0
    assert server.running == 0
    assert server.calls[0].body["instructions"].startswith("Be kind.")
    assert server.assistants.threads == {}


async def test_a_tool_round(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """The call's arguments come as text, its output reaches the model, which then answers."""
    server.script(call("rooms", '{"day": "2026-12-24"}'), say("Hay dos."))
    async with engine() as opened:
        first = await opened.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
        (made,) = first.calls
        assert (made.name, made.arguments) == ("rooms", '{"day": "2026-12-24"}')
        more = with_outputs(first, '{"free": 2}')
        second = await opened.respond(ask("¿Hay cupo?", *more, tools=(ROOMS,)), on_started=ignore)
    assert second.text == "Hay dos."
    assert server.calls[0].tool_names == ["rooms"]
    assert server.calls[1].items[-1]["output"] == '{"free": 2}'
    assert server.assistants.threads == {}


async def test_parallel_calls_and_a_chain(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """Two calls in one answer keep their order; a further round may follow."""
    both = (CallTool("rooms", '{"day": "a"}'), CallTool("rooms", '{"day": "b"}'))
    server.script(Step(outputs=both), call("rooms", '{"day": "c"}'), say("Listo."))
    async with engine() as opened:
        more: list[JsonObject] = []
        said: list[list[str]] = []
        text = ""
        while not text:
            request = ask("¿Hay cupo?", *more, tools=(ROOMS,))
            response = await opened.respond(request, on_started=ignore)
            said.append([made.arguments for made in response.calls])
            more += with_outputs(response, *("libre" for _ in response.calls))
            text = response.text
    assert said == [['{"day": "a"}', '{"day": "b"}'], ['{"day": "c"}'], []]
    assert text == "Listo."


async def test_the_last_round_offers_no_tools(
    server: ScriptedModel, engine: Open, ask: Ask
) -> None:
    """A note after the outputs, and no tools any more: the model answers from all of it."""
    server.script(call("rooms", '{"day": "x"}'), say("No pude averiguarlo."))
    note = {"role": "developer", "content": "[No more tools.]"}
    async with engine() as opened:
        first = await opened.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
        more = [*with_outputs(first, "quién sabe"), note]
        last = await opened.respond(ask("¿Hay cupo?", *more), on_started=ignore)
    assert last.text == "No pude averiguarlo."
    assert server.calls[1].tool_names == []
    assert "quién sabe" in str(server.calls[1].items)
    assert server.assistants.threads == {}


async def test_a_round_of_another_process(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """After a restart the whole input is enough to go on."""
    server.script(call("rooms", '{"day": "x"}'), say("Hay tres."))
    async with engine() as opened:
        first = await opened.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
    async with engine() as opened:
        more = with_outputs(first, "tres libres")
        second = await opened.respond(ask("¿Hay cupo?", *more, tools=(ROOMS,)), on_started=ignore)
    assert second.text == "Hay tres."
    assert "tres libres" in str(server.calls[1].items)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(status=500, code="server_error"), ModelTemporary),
        (Step(status=429, code="rate_limit_exceeded"), ModelTemporary),
        (Step(status=401, code="invalid_api_key"), ModelTemporary),
        (Step(status=400, code="context_length_exceeded"), ContextTooLong),
        (Step(status=400, code="invalid_prompt", message=f"Bad: {WORDS}"), ModelRejected),
        (Step(hang_up=True), ModelTemporary),
        (Step(failed="server_error"), ModelTemporary),
        (Step(failed="context_length_exceeded"), ContextTooLong),
        (Step(failed="invalid_prompt"), ModelRejected),
    ],
)
async def test_a_failure_is_one_error_after_one_call(
    server: ScriptedModel, engine: Open, ask: Ask, step: Step, expected: type[AssistantError]
) -> None:
    """It says what to do next, shows neither words nor key, and nothing was asked twice."""
    server.script(step)
    async with engine() as opened:
        with pytest.raises(AssistantError) as caught:
            await opened.respond(ask(WORDS), on_started=ignore)
    assert type(caught.value) is expected or (
        expected is ModelTemporary and isinstance(caught.value, ModelTemporary)
    )
    assert len(server.calls) == 1
    shown = "".join(traceback.format_exception(caught.value))
    assert "Calle Falsa" not in shown
    assert KEY not in shown


async def test_retry_after_and_a_bad_key(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """The server's wish is passed on; a wrong key is named as what it is, and not shown."""
    server.script(Step(status=429, headers={"retry-after": "17"}))
    async with engine() as opened:
        with pytest.raises(ModelTemporary) as limited:
            await opened.respond(ask(WORDS), on_started=ignore)
    assert limited.value.retry_after == 17
    async with engine(api_key="sk-wrong-key") as opened:
        with pytest.raises(ModelTemporary, match="check the key") as refused:
            await opened.respond(ask(WORDS), on_started=ignore)
    assert "sk-wrong-key" not in "".join(traceback.format_exception(refused.value))


async def test_input_over_the_window(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """A shorter history may work, and the caller learns that that is the fault."""
    server.context_tokens = 60
    async with engine() as opened:
        with pytest.raises(ContextTooLong):
            await opened.respond(ask("palabras " * 100), on_started=ignore)
    assert server.assistants.threads == {}


async def test_cut_while_it_answers(server: ScriptedModel, engine: Open, ask: Ask) -> None:
    """Where the server keeps the response it is picked up, else the answer is lost."""
    server.script(say("Con gusto, la esperamos.", cut_after=2))
    async with engine() as opened:
        if opened.can_resume:
            response = await opened.respond(ask(WORDS), on_started=ignore)
            assert response.text == "Con gusto, la esperamos."
        else:
            with pytest.raises(ModelTemporary):
                await opened.respond(ask(WORDS), on_started=ignore)
    assert len(server.calls) == 1


async def test_the_time_limit_stops_the_generation(
    server: ScriptedModel, engine: Open, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that hangs is given up, and does not go on at our cost.

    The limit leaves a busy machine time to make its requests, and to stop what they have begun.
    """
    monkeypatch.setattr(responses_engine, "ABANDON_SECONDS", 10.0)
    monkeypatch.setattr(assistants_engine, "TIDY_SECONDS", 10.0)
    server.script(Step(gate=trio.Event()))
    async with engine(timeout_seconds=1.5) as opened:
        await opened.warm_up()
        with pytest.raises(ModelTemporary, match=r"within 1\.5 s"):
            await opened.respond(ask(WORDS), on_started=ignore)
        await server.calls[0].ended.wait()
    assert server.calls[0].outcome in {"cut", "cancelled"}
    assert server.assistants.threads == {}


async def test_a_cancelled_call_is_resumed_or_stopped(
    server: ScriptedModel, engine: Open, ask: Ask
) -> None:
    """Cancelling leaves a kept response running, to be harvested; else it ends with the call."""
    gate = trio.Event()
    server.script(say("Aquí estoy.", gate=gate))
    announced: list[str] = []

    async def announce(response_id: str) -> None:
        announced.append(response_id)  # as the store does: a write handed over is done
        await trio.lowlevel.checkpoint()

    async with engine() as opened:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(opened.respond, on_started=announce), ask(WORDS))
            await server.wait_requests(1)
            await server.wait_for(lambda: server.running == 1)
            nursery.cancel_scope.cancel()
        if opened.can_resume:
            gate.set()
            response = await opened.resume(announced[0])
            assert response.text == "Aquí estoy."
        else:
            await server.calls[0].ended.wait()
            with pytest.raises(ResponseGone):
                await opened.resume("resp_unknown")
    assert len(server.calls) == 1


async def test_cancel_stops_a_running_response(
    server: ScriptedModel, engine: Open, ask: Ask
) -> None:
    """Once cancelled there is nothing left to resume; cancelling again does no harm."""
    server.script(Step(gate=trio.Event()))
    announced: list[str] = []

    async def announce(response_id: str) -> None:
        announced.append(response_id)  # as the store does: a write handed over is done
        await trio.lowlevel.checkpoint()

    async with engine() as opened:
        if not opened.can_resume:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(opened.respond, on_started=announce), ask(WORDS))
            await server.wait_for(lambda: server.running == 1)
            nursery.cancel_scope.cancel()
        assert await opened.cancel(announced[0])
        assert server.calls[0].outcome == "cancelled"
        with pytest.raises(ResponseGone):
            await opened.resume(announced[0])
        assert await opened.cancel(announced[0])


async def test_an_id_that_cannot_be_noted_stops_the_call(
    server: ScriptedModel, engine: Open, ask: Ask
) -> None:
    """A response that our store does not know must not go on."""
    server.script(Step(gate=trio.Event()))

    async def refuse(_response_id: str) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("disk full")

    async with engine() as opened:
        if not opened.can_resume:
            return
        with pytest.raises(StoreUnavailable):
            await opened.respond(ask(WORDS), on_started=refuse)
    assert [made.outcome for made in server.calls] in ([], ["cancelled"])
    assert server.assistants.threads == {}


async def test_an_answer_cut_short_has_the_reason(
    server: ScriptedModel, engine: Open, ask: Ask
) -> None:
    """The caller decides what to do with half an answer."""
    server.script(say("Con gusto", incomplete="max_output_tokens"))
    async with engine() as opened:
        response = await opened.respond(ask(WORDS), on_started=ignore)
    assert response.incomplete == "max_output_tokens"


async def test_models_are_listed(engine: Open) -> None:
    """Names with their shutdown dates."""
    async with engine() as opened:
        listed = await opened.list_models()
    assert {"gpt-6-luna": "", "gpt-4o-mini": "2027-01-14"}.items() <= listed.items()


def test_importing_the_engines_imports_no_sdk() -> None:
    """It costs 25 MB and a second, which must not fall on the start."""
    code = (
        "import sys, daemon.app, daemon.assistant.assistants_engine;"
        "import daemon.assistant.responses_engine;"
        " sys.exit('openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
