"""Tools that allow only so many calls at once, tools that are switched off, and what they say."""

import threading

import pytest
import trio
import trio.testing
from support.tools import RecordedConversation

from daemon.domain.messages import FunctionCall
from daemon.errors import ToolError
from daemon.tools.tool import ToolContext, tool
from daemon.tools.toolbox import Toolbox


def asked(name: str) -> FunctionCall:
    """A call without arguments."""
    return FunctionCall(call_id="c-1", name=name, arguments="{}")


async def test_no_more_calls_at_once_than_declared(context: ToolContext) -> None:
    """Of three chats two are served; the third follows when one of them is done."""
    inside: list[int] = []
    most: list[int] = []
    go_on = trio.Event()

    @tool(concurrency=2)
    async def look() -> str:
        """Look."""
        inside.append(1)
        most.append(len(inside))
        await go_on.wait()
        inside.pop()
        return "seen"

    toolbox = Toolbox([look])
    outputs: list[str] = []

    async def one_chat() -> None:
        outputs.append((await toolbox.call(asked("look"), context))[0])

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one_chat)
            await trio.testing.wait_all_tasks_blocked()
            assert len(inside) == 2
            go_on.set()
    assert outputs == ["seen"] * 3
    assert max(most) == 2


async def test_a_call_that_got_no_turn_certainly_had_no_effect(
    context: ToolContext, autojump_clock: trio.testing.MockClock
) -> None:
    @tool(concurrency=1, effects=True, timeout=5)
    async def pay() -> str:
        """Pay."""
        await trio.Event().wait()
        return ""

    toolbox = Toolbox([pay])
    outputs: list[str] = []

    async def one_chat() -> None:
        outputs.append((await toolbox.call(asked("pay"), context))[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_chat)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one_chat)
    assert autojump_clock.rate == 0
    assert sum("outcome unknown" in output for output in outputs) == 1
    assert sum("pay is busy and was not called" in output for output in outputs) == 1


async def test_a_thread_left_behind_keeps_its_place(context: ToolContext) -> None:
    """The limit is what the tool's own system bears, so an abandoned call counts until it ends."""
    begun, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    @tool(concurrency=1, timeout=0.05)
    def block() -> str:
        """Wait."""
        calls.append(1)
        begun.set()
        go_on.wait(90)
        return ""

    toolbox = Toolbox([block])
    try:
        with trio.fail_after(30):
            first = await toolbox.call(asked("block"), context)
            second = await toolbox.call(asked("block"), context)
        assert await trio.to_thread.run_sync(begun.wait, 90)
    finally:
        go_on.set()
    assert "did not answer" in first[0]
    assert "is busy" in second[0]
    assert len(calls) == 1


@tool(enabled=False)
def unfinished() -> str:
    """Not yet."""
    return ""


@tool
def open_door() -> str:
    """Open the door."""
    return "open"


async def test_a_disabled_tool_is_neither_declared_nor_called(context: ToolContext) -> None:
    toolbox = Toolbox([unfinished, open_door], disabled=["open_door"])
    assert toolbox.specs == ()
    assert [one.name for one in toolbox.all_tools] == ["unfinished", "open_door"]
    for name in ("unfinished", "open_door"):
        output, failed = await toolbox.call(asked(name), context)
        assert failed
        assert f"there is no tool {name}" in output


def test_a_misspelt_name_among_the_disabled_is_refused() -> None:
    with pytest.raises(ToolError, match=r"tools\.disabled: there is no tool opendoor"):
        Toolbox([open_door], disabled=["opendoor"])


@pytest.mark.parametrize("declared", [{"timeout": 0}, {"concurrency": -1}])
def test_impossible_limits_are_refused(declared: dict[str, int]) -> None:
    with pytest.raises(ToolError, match="timeout must be above 0"):
        tool(name="open", **declared)(open_door.function)  # type: ignore[call-overload]


async def test_tools_speak_from_the_loop_and_from_a_thread(
    context: ToolContext, conversation: RecordedConversation
) -> None:
    @tool
    async def from_the_loop(context: ToolContext) -> bool:
        """Speak."""
        return await context.say("Un momento")

    @tool
    def from_a_thread(context: ToolContext) -> bool:
        """Speak."""
        return context.say_from_thread("Ya casi")

    toolbox = Toolbox([from_the_loop, from_a_thread])
    for name in ("from_the_loop", "from_a_thread"):
        assert await toolbox.call(asked(name), context) == ("true", False)
    assert conversation.said == ["Un momento", "Ya casi"]
