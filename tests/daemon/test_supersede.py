"""Customers who write on while they are being answered: merged while nothing has had an effect."""

from pathlib import Path

import trio
from support.model_script import Step, call, say
from support.rows import count
from support.scenes import (
    end_pause,
    found,
    logged,
    model_input,
    open_scene,
    outcomes,
)
from support.stage import LAURA, Stage

TOOLS = '''
"""A tool with effects, for tests."""

from daemon.tools.tool import tool


@tool(effects=True)
async def book_room(room: str) -> str:
    """Book a room."""
    return f"booked {room}"
'''


def hung() -> trio.Event:
    """A gate that never opens: a model that goes on thinking."""
    return trio.Event()


async def superseded(stage: Stage, times: int) -> None:
    """Wait until the turn has been begun anew so often."""
    await found(lambda: count(stage.settings.data_dir, "turns", where={"superseded >=": times}))


async def test_a_message_during_the_run_joins_it(tmp_path: Path) -> None:
    """One answer for both, and the response of no use is cancelled at the model server."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("viejo", gate=hung()), say("nuevo"))
        await stage.gateway.customer_says(LAURA, "Quiero una habitación")
        (first,) = await stage.model.wait_requests(1)
        await stage.gateway.customer_says(LAURA, "para dos personas")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["nuevo"]
        assert first.outcome == "cancelled"
        assert stage.model.calls[1].customer_texts == ["Quiero una habitación\npara dos personas"]
        assert stage.gateway.sent(LAURA)[0].quoted == ""
        assert outcomes(stage) == ["answered"]
        assert count(stage.settings.data_dir, "runs", where={"ended_at >": 0}) == 2


async def test_a_run_is_thrown_away_twice_at_most(tmp_path: Path) -> None:
    """Who never stops writing is answered all the same; the last message gets its own answer."""
    async with open_scene(tmp_path) as stage:
        finish = trio.Event()
        stage.model.script(
            say("uno", gate=hung()),
            say("dos", gate=hung()),
            say("tres", gate=finish),
            say("cuatro"),
        )
        await stage.gateway.customer_says(LAURA, "a")
        for number, text in enumerate(("b", "c"), 1):
            await stage.model.wait_requests(number)
            await stage.gateway.customer_says(LAURA, text)
            await superseded(stage, number)
        await stage.model.wait_requests(3)
        late = await stage.gateway.customer_says(LAURA, "d")
        finish.set()
        answer, next_answer = await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert (answer.text, answer.quoted) == ("tres", "")
        assert (next_answer.text, next_answer.quoted) == ("cuatro", late)
        assert [c.customer_texts for c in stage.model.calls[2:]] == [["a\nb\nc"], ["d"]]
        assert [c.outcome for c in stage.model.calls] == ["cancelled"] * 2 + ["finished"] * 2


async def test_after_an_effect_a_late_message_waits_and_is_quoted(tmp_path: Path) -> None:
    """A room is booked: the run is not cancelled, and the first chunk of the next answer quotes."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(TOOLS)
    async with open_scene(tmp_path, tools={"folder": folder}) as stage:
        finish = trio.Event()
        stage.model.script(
            call("book_room", '{"room": "101"}'),
            say("reservada", gate=finish),
            say("con gusto\n\nhasta pronto"),
        )
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await stage.model.wait_requests(2)
        late = await stage.gateway.customer_says(LAURA, "gracias")
        finish.set()
        sent = await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert [(s.text, s.quoted) for s in sent] == [
            ("reservada", ""),
            ("con gusto", late),
            ("hasta pronto", ""),
        ]
        assert [c.outcome for c in stage.model.calls] == ["finished"] * 3
        assert len(stage.events("tool started")) == 1
        assert "booked 101" in model_input(stage)


async def test_a_late_message_waits_also_when_the_run_fails_after_an_effect(tmp_path: Path) -> None:
    """What is booked stays booked: that is answered by the next run, then the late message."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(TOOLS)
    async with open_scene(tmp_path, tools={"folder": folder}) as stage:
        fail = trio.Event()
        stage.model.script(
            call("book_room", '{"room": "101"}'),
            Step(status=500, gate=fail),
            say("reservada"),
            say("con gusto"),
        )
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await stage.model.wait_requests(2)
        await stage.gateway.customer_says(LAURA, "gracias")
        fail.set()
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert stage.received() == ["reservada", "con gusto"]
        asked = [model_call.customer_texts[-1] for model_call in stage.model.calls]
        assert asked == ["Reserva la 101"] * 3 + ["gracias"]


async def test_a_message_between_two_chunks_gets_the_next_turn(tmp_path: Path) -> None:
    """The answer under way is said whole, then the late message is answered and quoted."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos"), say("tres"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        late = await stage.gateway.customer_says(LAURA, "¿y el precio?")
        await stage.calls_read()
        held.release()
        sent = await stage.gateway.wait_sent(LAURA, 3)
        assert [(s.text, s.quoted) for s in sent] == [("uno", ""), ("dos", ""), ("tres", late)]
        assert stage.model.calls[1].customer_texts == ["¿y el precio?"]


async def test_a_late_message_that_an_agent_dealt_with_is_not_quoted_later(tmp_path: Path) -> None:
    """No phantom quote: after the agent's pause the next answer is an ordinary one."""
    async with open_scene(tmp_path, buffer={"idle_seconds": 60.0}) as stage:
        stage.model.script(say("uno\n\ndos"), say("tres"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        await stage.gateway.customer_says(LAURA, "¿y el precio?")
        await stage.gateway.agent_says(LAURA, "Cien mil")
        await stage.calls_read()
        held.release()
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await end_pause(stage)
        await stage.gateway.customer_says(LAURA, "Gracias")
        _, answer = await stage.gateway.wait_sent(LAURA, 2)
        assert (answer.text, answer.quoted) == ("tres", "")
