"""Tools that change the world: what they did is done once, whatever happens to us meanwhile."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from support.model_script import Step, call, say
from support.scenes import (
    delete_response,
    end_pause,
    found,
    logged,
    model_input,
    open_scene,
    outcomes,
)
from support.stage import LAURA, Stage

from daemon.sandbox.model_wire import CallTool

TOOLS = '''
"""Tools that write down each of their calls, for tests."""

import json
from pathlib import Path

import trio

from daemon.tools.tool import ToolContext, tool

FOLDER = Path(__file__).parent


def note(name: str, context: ToolContext, room: str) -> None:
    with (FOLDER / f"{name}.done").open("a") as file:
        file.write(json.dumps({"room": room, "key": context.idempotency_key}) + "\\n")


@tool(effects=True)
async def book_room(context: ToolContext, room: str) -> str:
    """Book a room."""
    note("book_room", context, room)
    while (FOLDER / "hang").exists():
        await trio.sleep(0.01)
    return f"booked {room}"


@tool
async def look_at(context: ToolContext, room: str) -> str:
    """Look whether a room is free."""
    note("look_at", context, room)
    while (FOLDER / "hang").exists():
        await trio.sleep(0.01)
    return f"{room} is free"


@tool(effects=True, timeout=0.1)
async def slow_payment(context: ToolContext, room: str) -> str:
    """Take a payment."""
    note("slow_payment", context, room)
    await trio.sleep_forever()
    return ""
'''
BOOK = call("book_room", '{"room": "101"}')


class Hotel:
    """The tools' folder: what they did, and whether their calls hang after doing it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "hotel.py").write_text(TOOLS)

    def hang(self, *, on: bool) -> None:
        """Let calls not return any more, or return again."""
        hanging = self.folder / "hang"
        if on:
            hanging.touch()
        else:
            hanging.unlink()

    def done(self, name: str) -> list[dict[str, str]]:
        """The calls that had their effect, in order."""
        path = self.folder / f"{name}.done"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@asynccontextmanager
async def open_hotel(tmp_path: Path) -> AsyncIterator[tuple[Stage, Hotel]]:
    """A stage whose model may book rooms."""
    hotel = Hotel(tmp_path / "tools")
    async with open_scene(tmp_path, tools={"folder": hotel.folder}) as stage:
        yield stage, hotel


def outputs(stage: Stage) -> list[str]:
    """What the last call of the model was told about its tool calls."""
    return [
        item["output"]
        for item in stage.model.calls[-1].items
        if item.get("type") == "function_call_output"
    ]


async def test_a_crash_between_an_effect_and_its_record_does_not_repeat_it(tmp_path: Path) -> None:
    """The room is booked once, and the model is told that nobody knows how the call ended."""
    async with open_hotel(tmp_path) as (stage, hotel):
        hotel.hang(on=True)
        stage.model.script(BOOK, say("Lo confirmo enseguida"))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await found(lambda: hotel.done("book_room"))
        await stage.crash()
        hotel.hang(on=False)
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("book_room")) == 1
        (output,) = outputs(stage)
        assert "outcome unknown" in output
        assert stage.received() == ["Lo confirmo enseguida"]
        assert len(stage.model.calls) == 2


async def test_a_call_of_unknown_outcome_is_not_repeated_when_the_model_insists(
    tmp_path: Path,
) -> None:
    """The model asks for the same booking again in the rerun: it still is not made twice."""
    async with open_hotel(tmp_path) as (stage, hotel):
        hotel.hang(on=True)
        stage.model.script(BOOK, BOOK, say("Lo confirmo enseguida"))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await found(lambda: hotel.done("book_room"))
        await stage.crash()
        hotel.hang(on=False)
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("book_room")) == 1
        assert [("outcome unknown" in output) for output in outputs(stage)] == [True, True]


async def test_a_crash_after_the_record_reuses_the_result(tmp_path: Path) -> None:
    """The booking is known: neither the call nor the first question to the model is repeated."""
    async with open_hotel(tmp_path) as (stage, hotel):
        stage.model.script(BOOK, say("nunca", gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        _, hanging = await stage.model.wait_requests(2)
        await stage.crash()
        await delete_response(stage, hanging.response_id)
        stage.model.script(say("Reservada"))
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert stage.received() == ["Reservada"]
        assert len(hotel.done("book_room")) == 1
        assert outputs(stage) == ["booked 101"]


async def test_the_same_call_in_another_run_of_the_turn_is_not_made_again(tmp_path: Path) -> None:
    """The model server is asked afresh and wants the same booking: it gets the result it had."""
    async with open_hotel(tmp_path) as (stage, hotel):
        spaced = call("book_room", '{ "room" : "101" }')
        stage.model.script(BOOK, Step(status=500), spaced, say("Reservada"))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("book_room")) == 1
        assert outputs(stage) == ["booked 101", "booked 101"]
        assert stage.received() == ["Reservada"]


async def test_the_same_action_twice_in_one_run_is_done_once(tmp_path: Path) -> None:
    """A model that books twice in one breath, and then once more, books one room."""
    async with open_hotel(tmp_path) as (stage, hotel):
        twice = Step(outputs=(CallTool("book_room", '{"room": "101"}'),) * 2)
        stage.model.script(twice, BOOK, say("Reservada"))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("book_room")) == 1
        assert outputs(stage) == ["booked 101"] * 3


async def test_the_idempotency_key_belongs_to_the_action_and_not_to_the_attempt(
    tmp_path: Path,
) -> None:
    """The same for each attempt at one call, another for another room."""
    async with open_hotel(tmp_path) as (stage, hotel):
        look = call("look_at", '{"room": "101"}')
        both = Step(
            outputs=(
                CallTool("look_at", '{"room":"101"}'),
                CallTool("look_at", '{"room":"7"}'),
            )
        )
        hotel.hang(on=True)
        stage.model.script(look, both, say("Está libre"))
        await stage.gateway.customer_says(LAURA, "¿Está libre la 101?")
        await found(lambda: hotel.done("look_at"))
        await stage.crash()
        hotel.hang(on=False)
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        calls = hotel.done("look_at")
        keys = {(entry["room"], entry["key"]) for entry in calls}
        assert len(calls) == 4
        assert len(keys) == 2
        assert outputs(stage) == ["101 is free", "101 is free", "7 is free"]


async def test_a_tool_with_effects_that_is_too_slow_has_an_unknown_outcome(tmp_path: Path) -> None:
    """A payment that was not answered in time may have been taken: the model is told so."""
    async with open_hotel(tmp_path) as (stage, hotel):
        stage.model.script(call("slow_payment", '{"room": "101"}'), say("Lo revisa una persona"))
        await stage.gateway.customer_says(LAURA, "Pago la 101")
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("slow_payment")) == 1
        (output,) = outputs(stage)
        assert "outcome unknown" in output


async def test_a_booking_stays_known_although_an_agent_took_over(tmp_path: Path) -> None:
    """The run was cut after the booking: the model knows of it when it is the bot's turn again."""
    async with open_hotel(tmp_path) as (stage, hotel):
        stage.model.script(BOOK, say("nunca", gate=trio.Event()), say("Claro"))
        await stage.gateway.customer_says(LAURA, "Reserva la 101")
        await stage.model.wait_requests(2)
        await stage.gateway.agent_says(LAURA, "Un momento")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await end_pause(stage)
        await stage.gateway.customer_says(LAURA, "¿Quedó?")
        await stage.gateway.wait_sent(LAURA)
        assert len(hotel.done("book_room")) == 1
        assert "booked 101" in model_input(stage)
        assert outcomes(stage)[0] == "handed_off"
