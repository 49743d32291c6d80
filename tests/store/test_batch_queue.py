"""What tasks put in during a pass comes together, in order, and all of it; nobody oversleeps."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import trio

from daemon.ledger.drivers.batch_queue import BatchQueue
from daemon.ledger.drivers.threads import Done


async def test_messages_of_one_pass_arrive_together_and_in_order() -> None:
    queue = BatchQueue[int]()
    for number in range(5):
        queue.put(number)
    with trio.fail_after(30):
        assert await trio.to_thread.run_sync(queue.get_batch, 3) == [0, 1, 2]
        assert await trio.to_thread.run_sync(queue.get_batch, 3) == [3, 4]


async def test_a_thread_that_waits_is_woken_although_the_loop_goes_to_sleep() -> None:
    queue, taken, woken = BatchQueue[str](), list[str](), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def take() -> None:
        taken.extend(queue.get_batch(10))
        token.run_sync_soon(woken.set)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    queue.put("a")
    with trio.fail_after(30):
        await woken.wait()
    thread.join()
    assert taken == ["a"]


async def test_the_end_gives_the_waiting_entries_and_then_none() -> None:
    queue = BatchQueue[int]()
    queue.put(1)
    queue.end()
    queue.end()
    assert queue.get_batch(10) == [1]
    assert queue.get_batch(10) == []
    with pytest.raises(KeyError):
        trio.lowlevel.remove_instrument(queue)


@pytest.mark.parametrize("times", [1, 50])
async def test_a_function_of_the_thread_is_called_though_the_loop_sleeps(times: int) -> None:
    """Or is about to: one after the other, so that each comes at another moment of a pass."""
    queue = BatchQueue[Done]()

    def work() -> None:
        while batch := queue.get_batch(10):
            for done in batch:
                queue.run_soon(done.set)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with trio.fail_after(30):
        for _ in range(times):
            done = Done()
            queue.put(done)
            await done.wait()
        queue.end()
        await trio.to_thread.run_sync(thread.join)


async def test_a_function_is_called_after_the_end_too() -> None:
    queue, done = BatchQueue[int](), Done()
    queue.end()
    await trio.to_thread.run_sync(queue.run_soon, done.set)
    with trio.fail_after(30):
        await done.wait()


class Letters:
    """A source: what comes through pipes."""

    def read(self, descriptors: Sequence[int]) -> Sequence[str]:
        return [os.read(descriptor, 1).decode() for descriptor in descriptors]

    def committed(self) -> None:
        """Nobody waits."""


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


async def test_what_comes_while_a_source_reads_is_in_the_same_batch() -> None:
    class Answered(Letters):
        """Brings a letter to the other pipe with each that it reads."""

        def read(self, descriptors: Sequence[int]) -> Sequence[str]:
            letters = super().read(descriptors)
            if "a" in letters:
                os.write(into_second, b"bc")
            return letters

    queue = BatchQueue[str]()
    queue.source = Answered()
    with pipe() as (first, into_first), pipe() as (second, into_second):
        queue.watch(first)
        queue.watch(second)
        os.write(into_first, b"a")
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(queue.get_batch, 2) == ["a", "b"]
            assert await trio.to_thread.run_sync(queue.get_batch, 2) == ["c"]
        queue.end()
    queue.close()


async def test_a_source_brings_entries_behind_those_of_the_loop() -> None:
    queue = BatchQueue[str]()
    queue.source = Letters()
    with pipe() as (out, into), pipe() as (_, closed):
        assert queue.watch(out)
        os.write(into, b"bc")
        queue.put("a")
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(queue.get_batch, 2) == ["a", "b"]
            assert await trio.to_thread.run_sync(queue.get_batch, 2) == ["c"]
            os.write(into, b"d")
            queue.unwatch(out)
            queue.put("e")
            assert await trio.to_thread.run_sync(queue.get_batch, 2) == ["e"]
        queue.end()
        assert queue.get_batch(2) == []
        queue.close()
        queue.close()
        assert not queue.watch(closed)


@pytest.mark.parametrize("ends", [False, True])
async def test_what_is_not_urgent_is_called_when_the_thread_rests_or_ends(*, ends: bool) -> None:
    queue, done = BatchQueue[str](), Done()

    def work() -> None:
        while queue.get_batch(10):
            queue.run_later(done.set)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    queue.put("a")
    if ends:
        queue.end()
    with trio.fail_after(30):
        await done.wait()
        queue.end()
        await trio.to_thread.run_sync(thread.join)
    queue.close()
