"""Calling tools: whatever goes wrong in them, the model is told and the turn goes on."""

import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from daemon.domain.messages import FunctionCall
from daemon.errors import ToolError
from daemon.tools.builtin_tools import get_conversation_context
from daemon.tools.tool import ToolContext, tool
from daemon.tools.toolbox import CUT_NOTE, MAX_OUTPUT_BYTES, Toolbox

Caller = Callable[..., Awaitable[tuple[str, bool]]]

SECRET = "postgres://hotel:hunter2@10.0.0.7/rooms"


@tool
async def greet(context: ToolContext, greeting: str = "Hola") -> str:
    """Greet the contact."""
    return f"{greeting}, {context.contact_name} ({context.idempotency_key})"


@tool(effects=True)
def where() -> str:
    """Say which thread this is."""
    return threading.current_thread().name


@tool
async def break_down() -> str:
    """Break down."""
    raise RuntimeError(SECRET)


@tool
def break_down_in_a_thread() -> str:
    """Break down."""
    raise OSError(SECRET)


@tool
async def break_down_twice() -> str:
    """Break down in two tasks."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(break_down.function)
        nursery.start_soon(break_down.function)
    return ""


@tool(timeout=7)
async def dawdle() -> str:
    """Take for ever."""
    await trio.Event().wait()
    return ""


@tool
async def give(what: str) -> Any:
    """Give something back."""
    results: dict[str, Any] = {
        "words": 'say "ñ"',
        "object": {"rooms": [12, 14], "free": True},
        "nothing": None,
        "unwritable": object(),
        "half": "\ud83d",
        "long": "ñ" * MAX_OUTPUT_BYTES,
        "just fits": "x" * MAX_OUTPUT_BYTES,
    }
    return results[what]


def _error(output: str) -> str:
    value: dict[str, str] = json.loads(output)
    assert list(value) == ["error"]
    return value["error"]


async def test_a_tool_gets_its_arguments_and_the_context(call: Caller) -> None:
    assert await call(greet, '{"greeting":"Buenas"}') == ("Buenas, Laura (key-1)", False)
    assert await call(greet) == ("Hola, Laura (key-1)", False)


async def test_a_plain_function_runs_in_a_thread_of_its_own(call: Caller) -> None:
    name, failed = await call(where)
    assert not failed
    assert name != threading.current_thread().name


async def test_a_blocking_tool_does_not_hold_up_the_loop(context: ToolContext) -> None:
    """It waits for an event that only the loop can set."""
    go_on = threading.Event()

    @tool
    def block() -> str:
        """Wait."""
        return "let go" if go_on.wait(90) else "stuck"

    outputs: list[str] = []

    async def call_it() -> None:
        asked = FunctionCall(call_id="c-1", name="block", arguments="")
        outputs.append((await Toolbox([block]).call(asked, context))[0])

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call_it)
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
    assert outputs == ["let go"]


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (break_down, "RuntimeError"),
        (break_down_in_a_thread, "OSError"),
        (break_down_twice, "ExceptionGroup"),
    ],
)
async def test_an_exception_is_named_without_its_message(
    call: Caller, broken: Any, kind: str
) -> None:
    output, failed = await call(broken)
    assert failed
    assert _error(output) == f"{broken.name} failed ({kind})"
    assert "hunter2" not in output


async def test_a_slow_tool_is_given_up(call: Caller, autojump_clock: MockClock) -> None:
    started = trio.current_time()
    output, failed = await call(dawdle)
    assert failed
    assert _error(output) == "dawdle did not answer within 7 seconds"
    assert trio.current_time() - started == pytest.approx(7)
    assert autojump_clock.rate == 0


async def test_a_slow_tool_with_effects_may_have_had_them(
    call: Caller, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    output, failed = await call(tool(effects=True, timeout=3, name="book")(dawdle.function))
    assert failed
    assert _error(output).startswith("book did not answer within 3 seconds; outcome unknown")
    assert trio.current_time() - started == pytest.approx(3)
    assert autojump_clock.rate == 0


async def test_a_stuck_thread_is_left_behind_in_time(context: ToolContext) -> None:
    go_on = threading.Event()

    @tool(timeout=0.02)
    def block() -> str:
        """Wait."""
        go_on.wait(90)
        return ""

    try:
        with trio.fail_after(30):
            asked = FunctionCall(call_id="c-1", name="block", arguments="{}")
            output, failed = await Toolbox([block]).call(asked, context)
    finally:
        go_on.set()
    assert failed
    assert _error(output) == "block did not answer within 0.02 seconds"


async def test_a_stop_of_the_daemon_is_no_failure_of_the_tool(call: Caller) -> None:
    outputs: list[tuple[str, bool]] = []

    async def call_it() -> None:
        outputs.append(await call(dawdle))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_it)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert outputs == []


@pytest.mark.parametrize(
    ("what", "output"),
    [
        ("words", 'say "ñ"'),
        ("object", '{"rooms":[12,14],"free":true}'),
        ("nothing", "null"),
        ("just fits", "x" * MAX_OUTPUT_BYTES),
        ("long", "ñ" * (MAX_OUTPUT_BYTES // 2) + CUT_NOTE),
    ],
)
async def test_results_become_text(call: Caller, what: str, output: str) -> None:
    assert await call(give, json.dumps({"what": what})) == (output, False)


@pytest.mark.parametrize("what", ["unwritable", "half", "a key that is not there"])
async def test_a_result_that_cannot_be_written_is_a_failure(call: Caller, what: str) -> None:
    output, failed = await call(give, json.dumps({"what": what}))
    assert failed
    assert _error(output).startswith("give failed (")


async def test_wrong_arguments_are_reported_and_the_tool_is_not_called(call: Caller) -> None:
    output, failed = await call(greet, '{"greeting":1}')
    assert failed
    assert _error(output).startswith("invalid arguments for greet: Expected `str`")


async def test_an_unknown_tool_is_reported_with_the_existing_ones(context: ToolContext) -> None:
    asked = FunctionCall(call_id="c-1", name="fly" * 100, arguments="{}")
    output, failed = await Toolbox([greet, where]).call(asked, context)
    assert failed
    assert "the tools are: greet, where" in _error(output)
    assert len(output) < 200
    output, failed = await Toolbox([]).call(asked, context)
    assert failed
    assert "none" in _error(output)


def test_the_model_gets_all_tools_in_order() -> None:
    assert Toolbox([where, greet]).specs == (where.spec, greet.spec)


def test_effects_are_those_declared() -> None:
    toolbox = Toolbox([greet, where])
    effects = [
        toolbox.has_effects(FunctionCall(call_id="c", name=name, arguments="{}"))
        for name in ("greet", "where", "unknown")
    ]
    assert effects == [False, True, False]


def test_two_tools_of_one_name_are_refused() -> None:
    other = tool(name="greet")(where.function)
    with pytest.raises(ToolError, match="two tools are called greet"):
        Toolbox([greet, other])


async def test_the_built_in_tool_looks_back_as_far_as_it_is_asked(call: Caller) -> None:
    output, failed = await call(get_conversation_context, '{"context_level":"recent_100"}')
    assert not failed
    assert len(output.splitlines()) == 100
    output, failed = await call(get_conversation_context, '{"context_level":"recent_7"}')
    assert failed


async def test_a_tools_exception_is_logged_and_hidden_from_the_model(
    context: ToolContext,
) -> None:
    @tool
    def fail() -> str:
        """Fail."""
        raise RuntimeError("the database password is wrong")

    faults: list[tuple[str, str]] = []
    toolbox = Toolbox([fail], on_fault=lambda name, error: faults.append((name, str(error))))
    asked = FunctionCall(call_id="c-1", name="fail", arguments="{}")
    output, failed = await toolbox.call(asked, context)
    assert failed
    assert "password" not in output
    assert faults == [("fail", "the database password is wrong")]


def test_a_tool_that_may_take_too_long_is_refused_with_both_numbers() -> None:
    slow = replace(greet, timeout=301.0)
    with pytest.raises(ToolError, match=r"greet: its timeout of 301 s .*longest_seconds \(300\)"):
        Toolbox([slow], longest_seconds=300)
    assert Toolbox([slow], longest_seconds=301).is_enabled("greet")
