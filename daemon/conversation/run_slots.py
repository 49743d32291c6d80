"""The places for runs of the model, shared out fairly between our numbers."""

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from daemon.conversation.signals import ChatSignals

MOST_OF_ONE = 0.75
"""The part of the places that one of several numbers may have: a flood of its customers leaves the
others some, and a run takes up to two minutes."""


class RunSlots:
    """So many runs at the same time. Any task may ask.

    A free place goes to the number that has fewest; within a number, to who waits longest.
    """

    def __init__(self, total: int, *, numbers: int = 1) -> None:
        self.total = total
        """How many places there are; may be changed at any time."""
        self._numbers = numbers
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[trio.Event]] = {}

    @property
    def taken(self) -> int:
        """How many places are in use."""
        return self._taken.total()

    @property
    def waiting(self) -> int:
        """How many runs wait for a place."""
        return sum(map(len, self._waiting.values()))

    def resize(self, total: int) -> None:
        """Change how many places there are; runs under way keep theirs."""
        self.total = total
        self._share_out()

    def take_now(self, number: str) -> bool:
        """Take a place for a run of a number, if there is one for it."""
        if self._waiting.get(number) or not self._may(number):
            return False
        self._taken[number] += 1
        return True

    async def take(self, number: str) -> None:
        """Take a place for a run of a number, as soon as there is one for it."""
        granted = trio.Event()
        queue = self._waiting.setdefault(number, deque())
        queue.append(granted)
        self._share_out()
        try:
            await granted.wait()
        except trio.Cancelled:
            if granted.is_set():
                self.give_back(number)
            else:
                queue.remove(granted)
                self._forget(number)
            raise

    def give_back(self, number: str) -> None:
        """Give a place back."""
        self._taken[number] -= 1
        if not self._taken[number]:
            del self._taken[number]
        self._share_out()

    def _may(self, number: str) -> bool:
        most = self.total if self._numbers == 1 else max(1, math.floor(self.total * MOST_OF_ONE))
        return self.taken < self.total and self._taken[number] < most

    def _share_out(self) -> None:
        while possible := [number for number in self._waiting if self._may(number)]:
            number = min(possible, key=self._taken.__getitem__)
            self._waiting[number].popleft().set()
            self._taken[number] += 1
            self._forget(number)

    def _forget(self, number: str) -> None:
        """Keep the queues in the order in which their numbers were served last."""
        queue = self._waiting.pop(number)
        if queue:
            self._waiting[number] = queue


@asynccontextmanager
async def run_slot(
    slots: RunSlots, number: str, signals: ChatSignals, *, waiting: Callable[[bool], None]
) -> AsyncIterator[bool]:
    """Hold one of the places for runs during the block.

    Gives False, without a place, if the daemon stops or an agent takes over meanwhile. A customer
    who goes on writing keeps the place in the queue. ``waiting`` is called when a wait begins
    (True) and when it ends (False).
    """
    held = slots.take_now(number)

    async def wait_for_place() -> None:
        nonlocal held
        await slots.take(number)
        held = True

    try:
        if not held:
            waiting(True)
            await signals.unless_called_off(wait_for_place)
            waiting(False)
        yield held
    finally:
        if held:
            slots.give_back(number)
