"""The clock of a run, which stops while tools work."""

import pytest
import trio
from trio.testing import MockClock

from daemon.conversation.turn.interim import Progress


@pytest.mark.parametrize(
    ("longest", "tools", "left"),
    [(300.0, 200.0, 10.0), (300.0, 0.0, 10.0), (50.0, 55.0, 5.0)],
    ids=["as long as a tool may", "at once", "longer than a tool may"],
)
async def test_time_of_tools_is_not_the_runs(
    autojump_clock: MockClock,  # noqa: ARG001 - time passes by itself
    longest: float,
    tools: float,
    left: float,
) -> None:
    began = trio.current_time()
    with trio.move_on_after(10) as limit:
        progress = Progress(time_limit=limit)
        with progress.clock_stopped(longest):
            await trio.sleep(tools)
        await trio.sleep_forever()
    assert limit.cancelled_caught
    assert trio.current_time() - began == tools + left


async def test_a_run_without_a_limit_has_no_clock_to_stop() -> None:
    with Progress().clock_stopped(1):
        await trio.lowlevel.checkpoint()
