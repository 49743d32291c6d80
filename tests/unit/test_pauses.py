"""Chats are woken when their pause ends, by one task, in the order of the ends."""

import trio
import trio.testing

from daemon.conversation.registry import Pauses
from daemon.domain.messages import ChatKey

LAURA, PEDRO = ChatKey("C", "laura"), ChatKey("C", "pedro")


async def test_each_chat_is_woken_when_its_time_has_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Also one that was noted while a later one was waited for."""
    seconds, woken = autojump_clock.current_time, list[tuple[ChatKey, int]]()
    pauses = Pauses(seconds)
    pauses.note(LAURA, -5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pauses.run, lambda key: woken.append((key, round(seconds()))))
        await trio.sleep(10)
        pauses.note(PEDRO, 60)
        pauses.note(LAURA, 30)
        pauses.note(LAURA, 90)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert woken == [(LAURA, 0), (LAURA, 30), (PEDRO, 60), (LAURA, 90)]
