"""The places for runs, shared out between numbers."""

import trio
import trio.testing

from daemon.conversation.model_access import RunSlots


async def test_one_number_alone_has_all_places() -> None:
    slots = RunSlots(2)
    assert slots.take_now("main")
    assert slots.take_now("main")
    assert not slots.take_now("main")
    slots.give_back("main")
    assert slots.take_now("main")


async def test_of_several_numbers_none_has_all_places() -> None:
    slots = RunSlots(4, numbers=2)
    assert [slots.take_now("shop") for _ in range(4)] == [True, True, True, False]
    assert slots.take_now("bar")
    assert not slots.take_now("bar")


async def test_a_free_place_goes_to_the_number_with_fewest() -> None:
    slots, order = RunSlots(4, numbers=3), list[str]()

    async def run(number: str) -> None:
        await slots.take(number)
        order.append(number)

    for number in ("shop", "shop", "shop", "bar"):
        assert slots.take_now(number)
    async with trio.open_nursery() as nursery:
        for number in ("shop", "shop", "bar", "club"):
            nursery.start_soon(run, number)
            await trio.testing.wait_all_tasks_blocked()
        assert slots.waiting == 4
        for number in ("shop", "shop", "bar", "shop"):
            slots.give_back(number)
            await trio.testing.wait_all_tasks_blocked()
    assert order == ["club", "shop", "bar", "shop"]
    assert slots.taken == 4


async def test_a_waiter_that_gives_up_leaves_the_place_to_others() -> None:
    slots = RunSlots(1, numbers=2)
    assert slots.take_now("shop")
    with trio.CancelScope() as waiting:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slots.take, "bar")
            await trio.testing.wait_all_tasks_blocked()
            waiting.cancel()
    assert slots.waiting == 0
    slots.give_back("shop")
    with trio.CancelScope() as granted:
        granted.cancel()
        await slots.take("bar")
    assert granted.cancelled_caught
    assert slots.taken == 0


async def test_more_places_are_given_at_once() -> None:
    slots = RunSlots(1)
    assert slots.take_now("main")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slots.take, "main")
        await trio.testing.wait_all_tasks_blocked()
        slots.resize(2)
    assert slots.taken == 2
