"""What only the engine over the Assistants API does: races, orphans, and a thread from an input."""

import random
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import trio
from support.model import ScriptedModel
from support.model_script import call, say

from daemon.assistant import assistants_engine, remote_threads
from daemon.assistant.assistants_engine import AssistantsEngine, open_assistants_engine
from daemon.assistant.payloads.assistants import MOST_MESSAGES, run_body, thread_body
from daemon.assistant.payloads.responses import ServerProfile
from daemon.domain.messages import JsonObject, ModelRequest, ToolSpec
from daemon.domain.prompt.message_text import RULE
from daemon.errors import ModelTemporary

KEY = "sk-test-0123456789abcdef"
Ask = Callable[..., ModelRequest]
AFTER_TOOLS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
"""Seconds, as in the replaced system: half a second more each time, up to five."""
ROOMS = ToolSpec(name="rooms", description="Free rooms.", parameters={"type": "object"})


@pytest.fixture
async def engine(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AssistantsEngine]:
    monkeypatch.setattr(assistants_engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(remote_threads, "RACE_CAP_SECONDS", 0.01)
    async with open_assistants_engine(
        base_url=server_url,
        api_key=KEY,
        assistant_id="asst_1",
        model="gpt-6-luna",
        timeout_seconds=60,
    ) as opened:
        assert isinstance(opened, AssistantsEngine)
        yield opened


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


async def test_a_busy_thread_is_waited_for(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    """The refusal says that nothing was begun, so the run is asked for again."""
    server.assistants.busy_answers = 3
    with trio.fail_after(60):
        response = await engine.respond(ask("Hola"), on_started=ignore)
    assert response.text
    assert [made.outcome for made in server.calls] == ["refused"] * 3 + ["finished"]


async def test_a_thread_that_stays_busy_is_given_up(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    server.assistants.busy_answers = 100
    with trio.fail_after(60), pytest.raises(ModelTemporary):
        await engine.respond(ask("Hola"), on_started=ignore)
    assert len(server.calls) == remote_threads.RACE_TRIES


async def test_an_orphan_is_cancelled_with_its_thread(
    server: ScriptedModel,
    engine: AssistantsEngine,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tool outputs that never came: the next call after ten minutes tidies up."""
    server.script(call("rooms"))
    with trio.fail_after(60):
        await engine.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
        (thread,) = server.assistants.threads.values()
        await engine.respond(ask("Hola"), on_started=ignore)
        assert list(server.assistants.threads) == [thread.id]
        monkeypatch.setattr(assistants_engine, "ORPHAN_SECONDS", 0)
        await engine.respond(ask("Hola"), on_started=ignore)
    assert thread.runs[0].status == "cancelled"
    assert server.assistants.threads == {}


async def test_an_expired_run_is_replaced_by_a_new_thread(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    """The outputs are not lost with it: they are in the input."""
    server.script(call("rooms"), say("Hay dos."))
    with trio.fail_after(60):
        first = await engine.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
        (thread,) = server.assistants.threads.values()
        thread.runs[0].cancelled = True
        output = {
            "type": "function_call_output",
            "call_id": first.calls[0].call_id,
            "output": "dos libres",
        }
        request = ask("¿Hay cupo?", *first.items, output, tools=(ROOMS,))
        second = await engine.respond(request, on_started=ignore)
    assert second.text == "Hay dos."
    assert "dos libres" in str(server.calls[-1].items)
    assert server.assistants.threads == {}


async def test_a_run_is_looked_at_so_often_and_then_cancelled(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    """The limit of the replaced system; nothing is left at the server."""
    server.script(say("nunca", gate=trio.Event()))
    with trio.fail_after(60), pytest.raises(ModelTemporary, match="30 polls"):
        await engine.respond(ask("Hola"), on_started=ignore)
    assert looks(server) == 30
    assert server.calls[0].outcome == "cancelled"
    assert server.assistants.threads == {}


async def test_after_tools_it_is_looked_at_less_often(
    server: ScriptedModel,
    engine: AssistantsEngine,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assistants_engine, "AFTER_TOOLS_SECONDS", 0.01)
    server.script(call("rooms"), say("nunca", gate=trio.Event()))
    with trio.fail_after(60):
        first = await engine.respond(ask("¿Hay cupo?", tools=(ROOMS,)), on_started=ignore)
        before = looks(server)
        call_id = first.calls[0].call_id
        output = {"type": "function_call_output", "call_id": call_id, "output": "dos libres"}
        request = ask("¿Hay cupo?", *first.items, output, tools=(ROOMS,))
        with pytest.raises(ModelTemporary, match="10 polls"):
            await engine.respond(request, on_started=ignore)
    assert looks(server) - before == 10
    assert server.assistants.threads == {}


@pytest.mark.parametrize(("after_tools", "seconds"), [(False, [1.0] * 30), (True, AFTER_TOOLS)])
def test_the_pauses_between_looks(*, after_tools: bool, seconds: list[float]) -> None:
    pauses = [assistants_engine._pause(n, after_tools=after_tools) for n in range(len(seconds))]
    assert pauses == seconds


async def test_a_thread_that_could_not_be_deleted_is_tried_again(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    """The server is down as the answer has been read; the next call finds it up again."""
    server.assistants.refused_deletions = 1
    with trio.fail_after(60):
        await engine.respond(ask("Hola"), on_started=ignore)
        assert len(server.assistants.threads) == 1
        await engine.respond(ask("Hola"), on_started=ignore)
    assert server.assistants.threads == {}


async def test_a_run_that_ends_while_it_is_cancelled_leaves_no_thread(
    server: ScriptedModel, engine: AssistantsEngine, ask: Ask
) -> None:
    """The refusal to cancel it must not keep the thread from being deleted."""
    gate = trio.Event()
    server.script(say("Hola", gate=gate))
    named: list[str] = []

    async def on_started(response_id: str) -> None:
        named.append(response_id)
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(engine.respond, ask("Hola"), on_started=on_started))
        await server.wait_for(lambda: server.running == 1)
        nursery.cancel_scope.cancel()
    server.assistants.ends_at_cancel = True
    assert await engine.cancel(named[0])
    assert server.assistants.threads == {}


def looks(server: ScriptedModel) -> int:
    """How often a run was looked at."""
    return sum(1 for method, path in server.hits if method == "GET" and "/runs/run_" in path)


def test_a_long_input_is_folded_and_keeps_its_end() -> None:
    """At most 32 messages; nothing said is left out."""
    items: tuple[JsonObject, ...] = tuple(
        {"role": ("user", "assistant")[n % 2], "content": f"m{n:03}"} for n in range(101)
    )
    messages = thread_body(ModelRequest(instructions="", items=items))["messages"]
    assert len(messages) == MOST_MESSAGES
    assert messages[-1] == {"role": "user", "content": "m100"}
    everything = str(messages)
    assert all(f"m{n:03}" in everything for n in range(101))


def test_notes_about_this_answer_become_instructions(rng: random.Random) -> None:
    """They are no part of the conversation, with which a customer could write them too."""
    picture = {"type": "input_image", "image_url": "https://example.com/a.jpg"}
    items: tuple[JsonObject, ...] = (
        {"role": "developer", "content": "[A note.]"},
        {"role": "assistant", "content": "¡Hola!"},
        {"role": "developer", "content": "[No more tools.]"},
        {"role": "user", "content": [{"type": "input_text", "text": "mire"}, picture]},
    )
    request = ModelRequest(instructions="Be kind.", items=items, tools=(ROOMS,))
    temperature = rng.random()
    profile = ServerProfile(
        model="m", background=True, openai=False, options={"temperature": temperature}
    )
    body = run_body(request, profile, "asst_1")
    assert body["additional_instructions"] == f"{RULE}\n\n[A note.]\n\n[No more tools.]"
    assert body["temperature"] == temperature
    assert body["tools"][0]["function"]["name"] == "rooms"
    assert thread_body(request)["messages"] == [
        {"role": "assistant", "content": "¡Hola!"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "mire"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
            ],
        },
    ]
