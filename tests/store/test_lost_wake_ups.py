"""Event loop and thread share a `BatchQueue` by flags: no order of their steps loses a wake-up.

Both run here in threads of their own, of which one goes on at a time, line by line. Each run
changes over at two of the lines, and wherever one sleeps.
"""

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
import trio

from daemon.ledger.drivers import batch_queue
from daemon.ledger.drivers.batch_queue import BatchQueue

LOOP, THREAD = 0, 1


class BothSleep(Exception):
    """And neither has done its work."""


class Lines:
    """Lets one of two go on at a time, and changes over before some of the lines."""

    def __init__(self, changes: set[int]) -> None:
        self.changes = changes
        self.passed = 0
        self.failure: BaseException | None = None
        self._turns = threading.Semaphore(), threading.Semaphore(0)
        self._waits: list[Callable[[], bool]] = [lambda: True, lambda: True]
        """Whether each can go on."""

    def run(self, *parts: Callable[[], None]) -> None:
        """Run both to their ends; raises what the first failure was."""
        threads = [
            threading.Thread(target=self._go, args=(me, part)) for me, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if self.failure is not None:
            raise self.failure

    def wait(self, me: int, can_go_on: Callable[[], bool]) -> None:
        """Sleep until something is so. Raises BothSleep."""
        self._waits[me] = can_go_on
        while not can_go_on():
            if self.failure is not None or not self._waits[1 - me]():
                raise BothSleep
            self._change(me)
        self._waits[me] = lambda: True

    def _go(self, me: int, part: Callable[[], None]) -> None:
        with self._turns[me]:
            sys.settrace(partial(self._trace, me))
            try:
                part()
            except BaseException as error:  # noqa: BLE001 - raised by `run`
                self.failure = self.failure or error
            finally:
                sys.settrace(None)
                self._waits[me] = lambda: False
                self.changes = set()
                self._turns[1 - me].release()

    def _trace(self, me: int, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != batch_queue.__file__:
            return None
        if event == "line":
            self.passed += 1
            if self.passed in self.changes:
                self._change(me)
        return partial(self._trace, me)

    def _change(self, me: int) -> None:
        self._turns[1 - me].release()
        self._turns[me].acquire()


class Poll:
    """An epoll whose caller sleeps as `Lines` does; a limited wait is over at once."""

    def __init__(self, inner: Any, lines: Lines) -> None:
        self._inner, self._lines = inner, lines

    def poll(self, timeout: float | None, most: int) -> list[tuple[int, int]]:
        if timeout is None:
            self._lines.wait(THREAD, lambda: bool(self._inner.poll(0, most)))
        found: list[tuple[int, int]] = self._inner.poll(0, most)
        return found

    def close(self) -> None:
        self._inner.close()


class Token:
    """Wakes a loop."""

    is_called = False

    def run_sync_soon(self, _function: object, *, idempotent: bool) -> None:
        self.is_called = idempotent


def play(changes: set[int], *, is_urgent: bool) -> int:
    """Some entries, each answered by a function, the last one after the end; gives the lines."""
    lines, called = Lines(changes), list[str]()
    queue: Any = BatchQueue[str]()
    queue._poll, token = Poll(queue._poll, lines), queue._token

    def loop() -> None:
        for entry in "ab":
            queue.put(entry)
            while entry not in called:
                queue.before_io_wait(1.0)
                lines.wait(LOOP, lambda: token.is_called)
                token.is_called = False
                queue.after_io_wait(1.0)
        queue.put("c")
        queue.end()
        while "c" not in called:
            lines.wait(LOOP, lambda: token.is_called)
            token.is_called = False
            queue._run()

    def thread() -> None:
        run = queue.run_soon if is_urgent else queue.run_later
        while batch := queue.get_batch(10):
            for entry in batch:
                run(partial(called.append, entry))

    try:
        lines.run(loop, thread)
    finally:
        queue.close()
    assert called == ["a", "b", "c"]
    return lines.passed


@pytest.mark.parametrize(("is_urgent", "most_apart"), [(True, 24), (False, 9)])
def test_no_order_of_steps_loses_a_wake_up(
    monkeypatch: pytest.MonkeyPatch, most_apart: int, *, is_urgent: bool
) -> None:
    """The second change comes up to so many lines after the first."""
    monkeypatch.setattr(trio.lowlevel, "current_trio_token", Token)
    monkeypatch.setattr(trio.lowlevel, "add_instrument", lambda _: None)
    monkeypatch.setattr(trio.lowlevel, "remove_instrument", lambda _: None)
    most = play(set(), is_urgent=is_urgent)
    for first in range(1, most + 1):
        for apart in range(most_apart):
            play({first, first + apart}, is_urgent=is_urgent)
