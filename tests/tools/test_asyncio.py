"""Tools that are written for asyncio: declared, they run in a loop of their own; else refused."""

import asyncio  # noqa: TID251 - these tools use it
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import pytest
import trio

from daemon.domain.messages import FunctionCall
from daemon.errors import ToolError
from daemon.tools.asyncio_tools import AsyncioCall
from daemon.tools.tool import ToolContext, tool
from daemon.tools.toolbox import Toolbox, load_tools

Caller = Callable[..., Awaitable[tuple[str, bool]]]
HEAD = "from daemon.tools import ToolContext, tool\n"


@tool(asyncio=True)
async def in_its_own_loop(context: ToolContext, number: int) -> str:
    """Wait in asyncio, in two tasks, and speak meanwhile."""
    first, second = await asyncio.gather(asyncio.sleep(0, number), asyncio.sleep(0, number + 1))
    said = context.say_from_thread("un momento")
    return f"{first} {second} {said} {threading.current_thread() is threading.main_thread()}"


async def test_a_declared_tool_runs_in_a_thread_with_a_loop_of_its_own(call: Caller) -> None:
    assert await call(in_its_own_loop, '{"number": 3}') == ("3 4 True False", False)


async def test_a_late_call_is_cancelled_and_cleans_up(context: ToolContext) -> None:
    cleaned = threading.Event()

    @tool(asyncio=True, timeout=3, effects=True)
    async def late() -> str:
        """Take too long."""
        try:
            await asyncio.sleep(600)
        finally:
            cleaned.set()
        return "never"

    asked = FunctionCall(call_id="c-1", name="late", arguments="{}")
    output, failed = await Toolbox([late]).call(asked, context)
    assert failed
    assert "did not answer within 3 seconds; outcome unknown" in output
    with trio.fail_after(30):
        await trio.to_thread.run_sync(cleaned.wait)


async def test_a_fault_of_a_tool_is_reported_to_the_model(call: Caller) -> None:
    @tool(asyncio=True)
    async def broken() -> str:
        """Fail."""
        await asyncio.sleep(0)
        raise LookupError("internal")

    assert await call(broken) == ('{"error":"broken failed (LookupError)"}', True)


def test_a_call_that_was_cancelled_before_it_began_does_nothing() -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)

    one = AsyncioCall(work)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        one.run()
    one.cancel()
    assert begun == []


def test_asyncio_is_for_async_functions() -> None:
    with pytest.raises(ToolError, match="asyncio=True is for async functions"):

        @tool(asyncio=True)
        def plain() -> str:
            """Wait for nothing."""
            return ""


DIRECT = """
import asyncio
@tool
async def slow() -> str:
    '''Wait.'''
    await asyncio.sleep(1)
    return ''
"""
IN_A_HELPER = """
import asyncio as aio
@tool
async def slow() -> str:
    '''Wait.'''
    return await Client().get()
class Client:
    async def get(self) -> str:
        return await fetch()
async def fetch() -> str:
    await aio.sleep(1)
    return ''
"""
INSIDE = """
@tool
async def slow() -> str:
    '''Wait.'''
    async def wait():
        import asyncio
        await asyncio.sleep(1)
    await wait()
    return ''
"""
A_NAME = """
from asyncio import sleep
@tool
async def slow() -> str:
    '''Wait.'''
    await sleep(1)
    return ''
"""


@pytest.mark.parametrize("code", [DIRECT, IN_A_HELPER, INSIDE, A_NAME])
def test_an_undeclared_one_is_refused_when_it_is_loaded(tmp_path: Path, code: str) -> None:
    (tmp_path / "slow.py").write_text(HEAD + code)
    with pytest.raises(ToolError) as raised:
        load_tools([], tmp_path)
    assert "tool slow: it uses asyncio" in str(raised.value)
    assert "Recado runs on trio" in str(raised.value)
    assert "@tool(asyncio=True)" in str(raised.value)
    (tmp_path / "slow.py").write_text(HEAD + code.replace("@tool", "@tool(asyncio=True)"))
    assert [one.asyncio for one in load_tools([], tmp_path)] == [True]


A_PART_OF_A_PACKAGE = """
import redis.asyncio as redis
@tool
async def slow() -> str:
    '''Wait.'''
    return await redis.Redis().get("key")
"""


def test_a_part_of_a_package_may_be_for_asyncio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = ModuleType("redis"), ModuleType("redis.asyncio")
    whole.asyncio = part  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "redis", whole)
    monkeypatch.setitem(sys.modules, "redis.asyncio", part)
    (tmp_path / "slow.py").write_text(HEAD + A_PART_OF_A_PACKAGE)
    with pytest.raises(ToolError, match=r"tool slow: it uses redis\.asyncio"):
        load_tools([], tmp_path)


def test_a_word_of_the_trade_is_no_library(tmp_path: Path) -> None:
    """Boats have motors, and one of our own modules may have any name inside of it."""
    (tmp_path / "boats.py").write_text(
        HEAD
        + "class Boat:\n    motor = 'Yamaha'\n    nats = 3\n"
        + "@tool\nasync def describe() -> str:\n    '''Describe the boat.'''\n"
        "    boat = Boat()\n    return f'{boat.motor} {boat.nats}'\n"
    )
    assert [one.name for one in load_tools([], tmp_path)] == ["describe"]


def test_a_tool_for_trio_or_a_thread_may_stand_beside_one_for_asyncio(tmp_path: Path) -> None:
    (tmp_path / "mixed.py").write_text(
        HEAD
        + DIRECT.replace("@tool", "@tool(asyncio=True)")
        + "import trio\n@tool\nasync def quick() -> str:\n    '''Wait.'''\n"
        "    await trio.sleep(0)\n    return ''\n@tool\ndef plain() -> str:\n"
        "    '''Run.'''\n    return asyncio.run(x())\n"
    )
    assert {one.name: one.asyncio for one in load_tools([], tmp_path)} == {
        "plain": False,
        "quick": False,
        "slow": True,
    }
