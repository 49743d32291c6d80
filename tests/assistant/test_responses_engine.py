"""The engine's ordinary life: answers, tools, ids, and stopping."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
import trio
import trio.testing
from support.model import ScriptedModel
from support.model_script import Step, Think, call, say

from daemon.assistant.port import Engine
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse, ToolSpec
from daemon.errors import ModelTemporary, StoreUnavailable
from daemon.sandbox.model_wire import CallTool, Say

Open = Callable[..., AbstractAsyncContextManager[Engine]]
Ask = Callable[..., ModelRequest]

AVAILABILITY = ToolSpec(
    name="check_availability",
    description="Free rooms.",
    parameters={
        "type": "object",
        "properties": {"startDate": {"type": "string"}, "endDate": {"type": "string"}},
        "required": ["startDate", "endDate"],
        "additionalProperties": False,
    },
)


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


def posts(server: ScriptedModel) -> int:
    return server.hits.count(("POST", "/responses"))


def output_of(response: ModelResponse, *outputs: str) -> list[JsonObject]:
    """Return the response's items followed by an output for each of its calls."""
    answered = zip(response.calls, outputs, strict=True)
    return [
        *response.items,
        *(
            {"type": "function_call_output", "call_id": made.call_id, "output": output}
            for made, output in answered
        ),
    ]


def test_the_sdk_is_not_imported_with_the_engine() -> None:
    """It costs 25 MB and a second, which must not fall on the start."""
    code = "import sys, daemon.assistant.responses_engine; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


async def test_foreground_answer(server: ScriptedModel, open_engine: Open, ask: Ask) -> None:
    """Without `background` the whole input is sent, nothing is kept and no id is announced."""
    announced: list[str] = []

    async def announce(response_id: str) -> None:
        await trio.lowlevel.checkpoint()
        announced.append(response_id)

    with trio.fail_after(60):
        async with open_engine() as engine:
            response = await engine.respond(ask("Hola, ¿tienen wifi?"), on_started=announce)
            assert not engine.can_resume
    assert "¿tienen wifi?" in response.text
    assert response.usage.input_tokens > 0
    assert announced == []
    (sent,) = server.calls
    assert (sent.body["stream"], sent.body["store"], sent.background) == (True, False, False)
    assert set(sent.body) == {"model", "input", "instructions", "stream", "store"}
    assert sent.outcome == "finished"


async def test_background_id_is_announced_while_the_model_works(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """The caller can record the id before there is an answer."""
    gate, announced = trio.Event(), trio.Event()
    server.script(say("Listo.", gate=gate))

    async def announce(response_id: str) -> None:
        await trio.lowlevel.checkpoint()
        assert response_id == server.calls[0].response_id
        assert server.calls[0].outcome == "running"
        announced.set()
        gate.set()

    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            assert engine.can_resume
            response = await engine.respond(ask("hola"), on_started=announce)
    assert announced.is_set()
    assert (response.id, response.text) == (server.calls[0].response_id, "Listo.")
    assert server.calls[0].body["store"] is True


async def test_tool_round_trip(server: ScriptedModel, open_engine: Open, ask: Ask) -> None:
    """Output items can be sent back with the tool's output, and the answer uses it."""
    text = "¿Hay disponibilidad del 2026-12-24 al 2026-12-27?"
    with trio.fail_after(60):
        async with open_engine() as engine:
            first = await engine.respond(ask(text, tools=(AVAILABILITY,)), on_started=ignore)
            (made,) = first.calls
            assert json.loads(made.arguments) == {
                "startDate": "2026-12-24",
                "endDate": "2026-12-27",
            }
            again = ask(text, *output_of(first, "Apartamento 1722-A libre"), tools=(AVAILABILITY,))
            second = await engine.respond(again, on_started=ignore)
    assert second.calls == ()
    assert "1722-A" in second.text
    assert server.calls[0].body["tools"][0]["strict"] is True


async def test_parallel_calls_and_reasoning_are_sent_back_whole(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A strict server takes the items again: reasoning sealed, no ids, all calls answered."""
    server.script(
        Step(outputs=(Think("Two things."), CallTool("a"), CallTool("b", '{"x": 1}'))),
        say("Hecho."),
    )
    with trio.fail_after(60):
        async with open_engine() as engine:
            first = await engine.respond(ask("haz dos cosas"), on_started=ignore)
            assert [made.name for made in first.calls] == ["a", "b"]
            again = ask("haz dos cosas", *output_of(first, "uno", "dos"))
            second = await engine.respond(again, on_started=ignore)
    assert second.text == "Hecho."
    kinds = [item.get("type") for item in server.calls[1].items[1:]]
    assert kinds == ["reasoning", "function_call", "function_call"] + ["function_call_output"] * 2
    assert all("id" not in item and "status" not in item for item in server.calls[1].items)


async def test_an_output_without_words_is_an_answer_without_items(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Whether that is good enough is for the validators to say."""
    server.script(Step(outputs=()), say("cortado aq", incomplete="max_output_tokens"))
    with trio.fail_after(60):
        async with open_engine() as engine:
            assert (await engine.respond(ask("hola"), on_started=ignore)).items == ()
            cut = await engine.respond(ask("hola"), on_started=ignore)
    assert (cut.text, cut.incomplete) == ("cortado aq", "max_output_tokens")


async def test_a_call_that_was_cut_is_not_to_be_run(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Its arguments may be half of what they should be."""
    server.script(call("refund", '{"amount": 100', incomplete="max_output_tokens"))
    with trio.fail_after(60):
        async with open_engine() as engine:
            response = await engine.respond(ask("hola"), on_started=ignore)
    assert response.calls == ()


async def test_cancelling_closes_the_connection(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """In the foreground that is what stops the model."""
    server.script(Step(outputs=(Say("uno dos tres"),), gate=trio.Event(), gate_at=6))
    with trio.fail_after(60):
        async with open_engine() as engine:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(
                        partial(engine.respond, ask("hola"), on_started=ignore), name="respond"
                    )
                    await server.wait_for(lambda: server.running == 1)
                    scope.cancel()
            await server.calls[0].ended.wait()
    assert (server.calls[0].outcome, server.calls[0].disconnects) == ("cut", 1)


async def test_cancelling_leaves_a_background_response_to_the_caller(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A stop of the daemon leaves it running, to be harvested; whoever wants it gone says so."""
    server.script(Step(gate=trio.Event()))
    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            async with trio.open_nursery() as nursery:

                async def announce(_response_id: str) -> None:
                    await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()

                await engine.respond(ask("hola"), on_started=announce)
            assert server.calls[0].outcome == "running"
            assert await engine.cancel(server.calls[0].response_id)
        await server.calls[0].ended.wait()
    assert server.calls[0].outcome == "cancelled"
    assert ("POST", f"/responses/{server.calls[0].response_id}/cancel") in server.hits


async def test_cancelling_before_the_id_is_known_waits_for_it(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Else a response that nobody knows would run on at our cost."""
    gate = trio.Event()
    server.script(Step(outputs=(Say("tarde"),), gate=gate, gate_at=0, tokens_per_second=0.01))
    announced: list[str] = []

    async def announce(response_id: str) -> None:
        announced.append(response_id)
        await trio.lowlevel.checkpoint()

    with trio.fail_after(60):
        async with open_engine(background=True) as engine, trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(engine.respond, ask("hola"), on_started=announce), name="respond"
            )
            await server.wait_for(lambda: server.running == 1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                gate.set()
    assert announced == [server.calls[0].response_id]


async def test_cancelling_a_server_that_never_answers_takes_a_second(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """The shield has a deadline."""
    server.script(Step(gate=trio.Event(), gate_at=0))
    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    partial(engine.respond, ask("hola"), on_started=ignore), name="respond"
                )
                await server.wait_for(lambda: server.running == 1)
                started = trio.current_time()
                nursery.cancel_scope.cancel()
            assert trio.current_time() - started < 30
    assert server.calls[0].outcome == "running"


async def test_an_id_that_cannot_be_recorded_stops_the_response(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """The store's error reaches the caller as it is, and nothing is left running."""
    server.script(Step(gate=trio.Event()))

    async def fail(_response_id: str) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("disk full")

    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            with pytest.raises(StoreUnavailable):
                await engine.respond(ask("hola"), on_started=fail)
        await server.calls[0].ended.wait()
    assert server.calls[0].outcome == "cancelled"


@pytest.mark.parametrize(("background", "outcome"), [(False, "cut"), (True, "cancelled")])
async def test_the_time_limit_stops_the_model(
    server: ScriptedModel, open_engine: Open, ask: Ask, *, background: bool, outcome: str
) -> None:
    """A model that hangs costs no more than its time."""
    server.script(Step(gate=trio.Event()))
    with trio.fail_after(60):
        async with open_engine(background=background, timeout_seconds=1) as engine:
            await engine.warm_up()
            with pytest.raises(ModelTemporary, match="within 1 s"):
                await engine.respond(ask("hola"), on_started=ignore)
        await server.calls[0].ended.wait()
    assert server.calls[0].outcome == outcome


async def test_silence_in_a_stream_is_a_temporary_fault(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A dead connection is noticed long before the run's limit."""
    server.script(Step(gate=trio.Event()))
    with trio.fail_after(60):
        async with open_engine(idle_seconds=0.3) as engine:
            with pytest.raises(ModelTemporary):
                await engine.respond(ask("hola"), on_started=ignore)
    assert posts(server) == 1


async def test_many_calls_at_once_share_one_engine(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Each gets its own answer."""
    gate = trio.Event()
    server.script(*(Step(echo=True, gate=gate) for _ in range(25)))
    answers: set[str] = set()

    with trio.fail_after(30):
        async with open_engine(background=True) as engine:

            async def one(number: int) -> None:
                response = await engine.respond(ask(f"número {number}"), on_started=ignore)
                answers.add(response.text)

            async with trio.open_nursery() as nursery:
                for number in range(25):
                    nursery.start_soon(one, number, name=f"respond {number}")
                await server.wait_for(lambda: server.running == 25)
                gate.set()
    assert answers == {f"número {number}" for number in range(25)}
    assert server.most_running == 25
