"""Handing work to a thread once a pass of the event loop, in place of once for each piece."""

import queue
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class HandOver(trio.abc.Instrument, Generic[T]):
    """Gathers what the tasks of one pass want of a thread, and gives it all when they have run.

    A thread that is woken for each entry competes with the loop for the interpreter, and finds
    little to do each time; woken once, it finds all of it (a webhook costs a sixth less). Little
    waits longer than it would for the interpreter: trio calls `before_io_wait` in each pass, before
    it looks for news or sleeps. `take` is for the thread, all else for the event loop.
    """

    def __init__(self) -> None:
        """Hand over from now on, until `end`."""
        self._gathered: list[T] = []
        self._handed: queue.SimpleQueue[list[T] | None] = queue.SimpleQueue()
        self._waiting: list[T] = []
        self._ended = False
        trio.lowlevel.add_instrument(self)

    def put(self, entry: T) -> None:
        """Hand this over at the end of the pass."""
        self._gathered.append(entry)

    def end(self) -> None:
        """Hand over what there is, and nothing any more. Idempotent."""
        try:
            trio.lowlevel.remove_instrument(self)
        except KeyError:
            return
        self._handed.put(self._gathered)
        self._handed.put(None)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        if self._gathered:
            self._handed.put(self._gathered)
            self._gathered = []

    def take(self, most: int) -> list[T]:
        """Wait for entries and give them, in order, so many at most; none if there come no more."""
        while len(self._waiting) < most and not self._ended:
            try:
                handed = self._handed.get(block=not self._waiting)
            except queue.Empty:
                break
            if handed is None:
                self._ended = True
            else:
                self._waiting += handed
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken
