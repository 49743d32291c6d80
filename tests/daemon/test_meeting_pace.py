"""The pace at which contacts are met: at once while they are few, slowly when they are many."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from daemon.conversation.presence import MOST_WAITING, PER_SECOND, UNPACED, SetupSlots


async def met(places: SetupSlots, times: list[float]) -> None:
    async with places.place():
        times.append(trio.current_time())


async def test_a_few_contacts_are_met_at_once(autojump_clock: MockClock) -> None:  # noqa: ARG001 - the clock of the test
    places, times = SetupSlots(), list[float]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(UNPACED):
            nursery.start_soon(met, places, times)
    assert len(times) == UNPACED
    assert max(times) - began < 0.001


async def test_a_rush_is_met_at_a_pace_and_afterwards_it_is_forgotten(
    autojump_clock: MockClock,  # noqa: ARG001 - the clock of the test
) -> None:
    places, times = SetupSlots(), list[float]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(UNPACED + 5 * PER_SECOND):
            nursery.start_soon(met, places, times)
    assert 4.9 < max(times) - began < 5.1
    assert all(sum(t <= x < t + 1 for x in times) <= PER_SECOND + UNPACED + 1 for t in times)
    await trio.sleep(UNPACED / PER_SECOND)
    before = trio.current_time()
    await met(places, times)
    assert times[-1] - before < 0.001


async def test_only_so_many_wait(autojump_clock: MockClock) -> None:  # noqa: ARG001 - the clock of the test
    places, times = SetupSlots(), list[float]()
    hold = trio.Event()

    async def stay() -> None:
        async with places.place():
            await hold.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(stay)
        await wait_all_tasks_blocked()
        for _ in range(MOST_WAITING):
            assert not places.full
            nursery.start_soon(met, places, times)
        await wait_all_tasks_blocked()
        assert places.full
        nursery.cancel_scope.cancel()
    assert not places.full
