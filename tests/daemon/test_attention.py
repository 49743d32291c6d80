"""A chat's task sleeps through what only puts off the end of a burst, and wakes for all else."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from daemon.conversation.signals import ChatSignals
from daemon.domain.messages import ChatKey
from daemon.domain.records import Arrival
from daemon.domain.window import WindowRules

KEY = ChatKey("CHAN-1", "573001234567@s.whatsapp.net")
RULES = WindowRules(
    text_seconds=5,
    voice_seconds=8,
    typing_seconds=10,
    stop_seconds=1,
    max_wait_seconds=60,
    max_messages=3,
)


async def in_window() -> ChatSignals:
    """A chat whose window was opened by a message now, which its task has seen."""
    made = ChatSignals(RULES, pause_seconds=60, agent_seconds=5, stopping=bool, now=lambda: 0.0)
    made.arrived(Arrival(KEY, "message"))
    assert await made.woken(5)
    return made


async def woken_at(signals: ChatSignals, clock: MockClock, *whats: str) -> float:
    """When a task that waits five seconds for the window to close goes on, after two seconds."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals.woken_in_window, trio.current_time() + 5)
        await wait_all_tasks_blocked()
        await trio.sleep(2)
        for what in whats:
            if what in {"typing", "paused"}:
                signals.presence(what)
            else:
                signals.arrived(Arrival(KEY, "agent" if what == "agent" else "message"))
    return clock.current_time()


@pytest.mark.parametrize(
    ("whats", "at"),
    [
        (["message"], 5),
        (["typing"], 5),
        (["message", "message"], 2),
        (["agent"], 2),
        (["message", "agent"], 2),
    ],
    ids=["put off", "put off by typing", "as many as a turn takes", "an agent", "both"],
)
async def test_only_signals_that_can_end_the_wait_wake_the_task(
    autojump_clock: MockClock, whats: list[str], at: float
) -> None:
    assert await woken_at(await in_window(), autojump_clock, *whats) == at


async def test_a_task_that_does_something_else_is_woken_by_any_message(
    autojump_clock: MockClock,
) -> None:
    signals = await in_window()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals.woken, 5)
        await wait_all_tasks_blocked()
        await trio.sleep(2)
        signals.arrived(Arrival(KEY, "message"))
    assert autojump_clock.current_time() == 2
