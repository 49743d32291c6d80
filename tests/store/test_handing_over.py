"""What the tasks of a pass hand to a thread comes together, in order, and all of it."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import trio

from daemon.ledger.drivers.threads import Done, HandOver


async def test_messages_of_one_pass_arrive_together_and_in_order() -> None:
    handing_over = HandOver[int]()
    for number in range(5):
        handing_over.put(number)
    with trio.fail_after(30):
        assert await trio.to_thread.run_sync(handing_over.take, 3) == [0, 1, 2]
        assert await trio.to_thread.run_sync(handing_over.take, 3) == [3, 4]


async def test_a_thread_that_waits_is_woken_although_the_loop_goes_to_sleep() -> None:
    handing_over, taken, woken = HandOver[str](), list[str](), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def take() -> None:
        taken.extend(handing_over.take(10))
        token.run_sync_soon(woken.set)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    handing_over.put("a")
    with trio.fail_after(30):
        await woken.wait()
    thread.join()
    assert taken == ["a"]


async def test_the_end_hands_over_the_waiting_work_and_then_none() -> None:
    handing_over = HandOver[int]()
    handing_over.put(1)
    handing_over.end()
    handing_over.end()
    assert handing_over.take(10) == [1]
    assert handing_over.take(10) == []
    with pytest.raises(KeyError):
        trio.lowlevel.remove_instrument(handing_over)


@pytest.mark.parametrize("times", [1, 50])
async def test_what_a_thread_gives_back_is_done_though_the_loop_sleeps(times: int) -> None:
    """Or is about to: one after the other, so that each comes at another moment of a pass."""
    handing_over = HandOver[Done]()

    def work() -> None:
        while entries := handing_over.take(10):
            for done in entries:
                handing_over.give_back(done.set)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with trio.fail_after(30):
        for _ in range(times):
            done = Done()
            handing_over.put(done)
            await done.wait()
        handing_over.end()
        await trio.to_thread.run_sync(thread.join)


async def test_what_is_given_back_after_the_end_is_done_too() -> None:
    handing_over, done = HandOver[int](), Done()
    handing_over.end()
    await trio.to_thread.run_sync(handing_over.give_back, done.set)
    with trio.fail_after(30):
        await done.wait()


class Letters:
    """A source: what comes through pipes."""

    def take(self, descriptors: Sequence[int]) -> Sequence[str]:
        return [os.read(descriptor, 1).decode() for descriptor in descriptors]

    def settled(self) -> Callable[[], object]:
        return lambda: None

    def answer(self) -> None:
        """Nobody waits."""


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


async def test_a_source_brings_entries_behind_those_of_the_loop() -> None:
    handing_over = HandOver[str]()
    handing_over.receive(Letters())
    with pipe() as (out, into), pipe() as (_, closed):
        assert handing_over.watch(out)
        os.write(into, b"bc")
        handing_over.put("a")
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(handing_over.take, 2) == ["a", "b"]
            assert await trio.to_thread.run_sync(handing_over.take, 2) == ["c"]
            os.write(into, b"d")
            handing_over.ignore(out)
            handing_over.put("e")
            assert await trio.to_thread.run_sync(handing_over.take, 2) == ["e"]
        handing_over.end()
        assert handing_over.take(2) == []
        handing_over.close()
        handing_over.close()
        assert not handing_over.watch(closed)


@pytest.mark.parametrize("ends", [False, True])
async def test_what_is_given_back_later_is_done_when_the_thread_rests_or_ends(
    *, ends: bool
) -> None:
    handing_over, done = HandOver[str](), Done()

    def work() -> None:
        while handing_over.take(10):
            handing_over.give_back_later(done.set)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    handing_over.put("a")
    if ends:
        handing_over.end()
    with trio.fail_after(30):
        await done.wait()
        handing_over.end()
        await trio.to_thread.run_sync(thread.join)
    handing_over.close()
