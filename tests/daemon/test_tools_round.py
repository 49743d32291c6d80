"""Rounds of tools over real HTTP: calls, their outputs, and a thread that stays sound.

The simulated model server refuses an input with a call that has no output, as the real one does,
so a second message that is answered shows that the first one's calls were all closed.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from support.brisk import open_brisk_stage
from support.model_script import Step, Think, call, say
from support.rows import select
from support.stage import LAURA, Stage

from daemon.domain.texts import texts
from daemon.sandbox.model_generation import ModelCall
from daemon.sandbox.model_wire import CallTool

CONTEXT = "get_conversation_context"
RECENT_50 = '{"context_level": "recent_50"}'
RECENT_100 = '{"context_level": "recent_100"}'

HOTEL_TOOLS = '''
"""Tools of a hotel, for tests."""

import trio

from daemon.tools.tool import tool


begun = {room: trio.Event() for room in ("suite", "doble", "familiar")}


@tool
async def price_of(room: str, after: str) -> str:
    """Say what a room costs, once another one was asked for."""
    begun[room].set()
    await begun[after].wait()
    return f"{room}: 180000"


@tool
async def broken() -> str:
    """Fail in a way that nobody expected."""
    raise ZeroDivisionError("secret-detail")


@tool(timeout=0.2)
async def endless() -> str:
    """Never answer."""
    await trio.sleep_forever()


@tool
def plain(nights: int) -> dict[str, int]:
    """Count in a thread."""
    return {"nights": nights}
'''


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


def outputs(asked: ModelCall) -> list[str]:
    """The tool outputs that a call of the model was given, in order."""
    return [i["output"] for i in asked.items if i.get("type") == "function_call_output"]


async def is_answered(stage: Stage, words: str, answer: str) -> None:
    """The chat goes on: one more message is answered, over a thread that the server accepts."""
    stage.model.script(say(answer))
    before = len(stage.received())
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, before + 1)
    assert stage.received()[before:] == [answer]
    assert all(asked.outcome == "finished" for asked in stage.model.calls)


async def test_the_conversation_context_is_looked_up(stage: Stage) -> None:
    """The tool's output is what was said before, and the answer comes after it."""
    await is_answered(stage, "quiero una suite", "Claro, una suite.")
    stage.model.script(Step(outputs=(Think(), CallTool(CONTEXT, RECENT_50))), say("La suite."))
    await stage.gateway.customer_says(LAURA, "¿qué te pedí?")
    await stage.gateway.wait_sent(LAURA, 2)
    assert stage.received()[1] == "La suite."
    assert outputs(stage.model.calls[2]) == ["user: quiero una suite\nassistant: Claro, una suite."]
    await is_answered(stage, "gracias", "A ti.")


WRONG: dict[str, Step] = {
    "there is no tool no_such_tool": call("no_such_tool"),
    "Expected `str`, got `int`": call(CONTEXT, '{"context_level": 5}'),
    "Invalid enum value 'recent_7'": call(CONTEXT, '{"context_level": "recent_7"}'),
    "unknown field `chat`": call(CONTEXT, '{"context_level": "recent_50", "chat": "x"}'),
    "not valid JSON": call(CONTEXT, "{no json"),
    "missing required field": call(CONTEXT, ""),
}


async def test_a_wrong_call_is_explained_to_the_model(stage: Stage) -> None:
    """The model gets the reason as the call's output and can do better; the customer sees none."""
    for number, (hint, wrong) in enumerate(WRONG.items()):
        answer = f"Listo {number}."
        stage.model.script(wrong, say(answer))
        await stage.gateway.customer_says(LAURA, f"hola {number}")
        await stage.gateway.wait_sent(LAURA, number + 1)
        assert hint in json.loads(outputs(stage.model.calls[-1])[-1])["error"]
        assert stage.received()[number] == answer
    await is_answered(stage, "gracias", "A ti.")
    assert stage.received()[:-1] == [f"Listo {number}." for number in range(len(WRONG))]


@pytest.fixture
def tools_folder(tmp_path: Path) -> Path:
    """A folder with the tools of a hotel."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(HOTEL_TOOLS)
    return folder


async def test_parallel_calls_keep_their_order(tmp_path: Path, tools_folder: Path) -> None:
    """The first call ends after the last has begun; outputs stand in call order."""
    async with open_brisk_stage(tmp_path / "data", tools={"folder": tools_folder}) as stage:
        asked = (
            CallTool("price_of", '{"room": "suite", "after": "familiar"}'),
            CallTool("price_of", '{"room": "doble", "after": "doble"}'),
            CallTool("price_of", '{"room": "familiar", "after": "suite"}'),
        )
        stage.model.script(Step(outputs=asked), say("Tres precios."))
        await stage.gateway.customer_says(LAURA, "¿precios?")
        await stage.gateway.wait_sent(LAURA)
        second = stage.model.calls[1]
        assert outputs(second) == ["suite: 180000", "doble: 180000", "familiar: 180000"]
        calls = select(tmp_path / "data", "tool_calls", "started_at, ended_at", order="id")
        assert len(calls) == 3
        assert calls[2][0] < calls[0][1], "the last has begun before the first has ended"
        await is_answered(stage, "gracias", "A ti.")


async def test_tools_that_fail_hang_or_block_a_thread(tmp_path: Path, tools_folder: Path) -> None:
    """Each failure is an output; what a traceback would tell stays inside."""
    async with open_brisk_stage(tmp_path / "data", tools={"folder": tools_folder}) as stage:
        asked = (
            CallTool("broken"),
            CallTool("endless"),
            CallTool("plain", '{"nights": 3}'),
        )
        stage.model.script(Step(outputs=asked), say("Ya."))
        await stage.gateway.customer_says(LAURA, "¿tres noches?")
        await stage.gateway.wait_sent(LAURA)
        broken, endless, plain = outputs(stage.model.calls[1])
        assert json.loads(broken) == {"error": "broken failed (ZeroDivisionError)"}
        assert "did not answer within" in json.loads(endless)["error"]
        assert json.loads(plain) == {"nights": 3}
        assert len(stage.events("tool failed")) == 2
        await is_answered(stage, "gracias", "A ti.")


async def test_a_model_that_only_calls_tools_is_stopped_and_answered_for(tmp_path: Path) -> None:
    """At the cap the model is offered no tools; if it calls one all the same, the safe text."""
    async with open_brisk_stage(tmp_path / "data", assistant={"max_tool_rounds": 2}) as stage:
        stage.model.script(*[call(CONTEXT, RECENT_50) for _ in range(5)])
        await stage.gateway.customer_says(LAURA, "hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == [texts("es").unclear]
        assert [bool(asked.tool_names) for asked in stage.model.calls] == [True, True, False]
        left = len(stage.model.unused_steps)
        assert left == 2
        stage.model.script(say("¡Hola!"))
        for _ in range(left):
            await stage.gateway.customer_says(LAURA, "¿hola?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[1] == "¡Hola!"
        assert all(asked.outcome == "finished" for asked in stage.model.calls)


async def test_a_model_that_answers_in_the_last_round_is_sent(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data", assistant={"max_tool_rounds": 1}) as stage:
        stage.model.script(call(CONTEXT, RECENT_50), say("No hay nada antes."))
        await stage.gateway.customer_says(LAURA, "hola")
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["No hay nada antes."]
        assert stage.model.calls[1].tool_names == []
        await is_answered(stage, "gracias", "A ti.")


async def test_a_round_of_tools_survives_a_restart(tmp_path: Path) -> None:
    """Stopped while the model reads a tool's output, the daemon does not call the tool again."""
    async with open_brisk_stage(tmp_path / "data", shutdown={"deadline_seconds": 0.5}) as stage:
        thought = trio.Event()
        stage.model.script(call(CONTEXT, RECENT_100), say("Después del reinicio.", gate=thought))
        await stage.gateway.customer_says(LAURA, "hola")
        await stage.model.wait_requests(2)
        await stage.stop()
        await stage.start()
        thought.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Después del reinicio."]
        assert len(stage.model.calls) == 2
        rows = select(tmp_path / "data", "tool_calls", "tool, state")
        assert rows == [(CONTEXT, "finished")]
        await is_answered(stage, "gracias", "A ti.")
