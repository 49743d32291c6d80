"""What the tasks of a pass hand to a thread comes together, in order, and all of it."""

import threading

import pytest
import trio

from daemon.ledger.drivers.threads import HandOver


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
