"""The ends of pauses that something waits for: one task wakes chats that have none."""

import heapq
import math
from collections.abc import Callable

import trio

from daemon.domain.messages import ChatKey


class Pauses:
    """When which chat is to look again. Owned by the registry of the chats.

    Nothing here is durable: at the start each chat with something waiting looks into the store, and
    the sweep finds what a clock that was set has put off.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` gives Unix seconds."""
        self._now = now
        self._ends: list[tuple[float, ChatKey]] = []
        self._sooner = trio.Event()

    def note(self, key: ChatKey, until: float) -> None:
        """Wake a chat at a time (Unix seconds); any task may call it. A chat may be noted twice."""
        if not self._ends or until < self._ends[0][0]:
            self._sooner.set()
        heapq.heappush(self._ends, (until, key))

    async def run(self, wake: Callable[[ChatKey], None]) -> None:
        """Wake each chat when its time has come. Runs until cancelled."""
        while True:
            self._sooner = trio.Event()
            now = self._now()
            while self._ends and self._ends[0][0] <= now:
                wake(heapq.heappop(self._ends)[1])
            left = self._ends[0][0] - now if self._ends else math.inf
            with trio.move_on_after(left):
                await self._sooner.wait()
