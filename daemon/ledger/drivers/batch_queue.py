"""A queue from the event loop to a database's writing thread, with a way back."""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import trio

from daemon.ledger.drivers.port import WriteSource

T = TypeVar("T")

LATE_SECONDS = 0.005
"""How long a thread that goes on working may keep what is not urgent from the event loop."""

IDLE_SECONDS = 0.001
"""And one that finds nothing to do."""


class BatchQueue(trio.abc.Instrument, Generic[T]):
    """Gives entries to a thread in batches, and calls functions of the thread in the event loop.

    What tasks put in during one pass of the event loop is given together, at its end. A thread that
    is woken for each entry competes with the loop for the interpreter lock and finds little to do
    each time; woken once a pass, it finds all of it, and a webhook costs a sixth less.

    The functions are called in trio's `after_io_wait`, so that the tasks that they wake run in the
    pass that begins then.

    Either side is woken, by a system call, only while it sleeps. No wake-up is lost: who is about
    to sleep sets its flag, and then looks for work; who has work appends it, and then looks at the
    flag. So one of the two sees the other. A wake-up too many does no harm.

    The thread calls `get_batch`, `run_later`, `wake_loop` and `wake_loop_if_late`; any thread
    calls `watch`, `unwatch` and `run_soon`; the event loop calls all else. It is a
    `daemon.ledger.drivers.port.WriterThread`.
    """

    def __init__(self) -> None:
        """Give entries until `end`; `close` it when the thread has ended."""
        self._of_this_pass: list[T] = []
        self._entries: deque[T] = deque()
        self._ended = False
        """Nothing is added to the entries any more."""
        self.source: WriteSource | None = None
        """What entries are taken from too."""
        self._poll = select.epoll()
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._signal, select.EPOLLIN)
        self._thread_sleeps = False
        self._functions: deque[Callable[[], object]] = deque()
        self._kept_since: float | None = None
        """When the thread began to keep functions from a loop that may sleep, by its clock."""
        self._loop_sleeps = False
        self._token = trio.lowlevel.current_trio_token()
        trio.lowlevel.add_instrument(self)

    # -- from the event loop to the thread ---------------------------------------------------------

    def put(self, entry: T) -> None:
        """Give this entry to the thread at the end of the pass."""
        self._of_this_pass.append(entry)

    def before_io_wait(self, timeout: float) -> None:
        """See `trio.abc.Instrument`."""
        if self._of_this_pass:
            self._give()
        if timeout > 0:
            self._fall_asleep()

    def end(self) -> None:
        """Give what is left; later entries are ignored. Idempotent."""
        if not self._ended:
            with suppress(KeyError):
                trio.lowlevel.remove_instrument(self)
            self._entries.extend(self._of_this_pass)
            self._ended = True
            self._wake_thread()
            self._fall_asleep()  # each function wakes the loop from now on

    def close(self) -> None:
        """Close the descriptors. The thread has ended. Idempotent."""
        signal, self._signal = self._signal, -1
        if signal >= 0:
            self._poll.close()
            os.close(signal)

    def watch(self, descriptor: int) -> bool:
        """See `daemon.ledger.drivers.port.WriterThread`."""
        try:
            self._poll.register(descriptor, select.EPOLLIN)
        except (OSError, ValueError):
            return False
        return not self._ended

    def unwatch(self, descriptor: int) -> None:
        """See `daemon.ledger.drivers.port.WriterThread`."""
        with suppress(OSError, ValueError):  # closed meanwhile
            self._poll.unregister(descriptor)

    def get_batch(self, most: int) -> list[T]:
        """Wait for entries; gives at most ``most`` of them, and none after the end.

        Those of the loop come in order, and before those of the source.
        """
        while True:
            ended = self._ended  # before the look at the entries, which are complete then
            batch = [self._entries.popleft() for _ in range(min(most, len(self._entries)))]
            if len(batch) < most and not ended:
                batch += self._read(most - len(batch), may_wait=not batch)
            if batch:
                return batch
            if ended:
                self.wake_loop()
                return []

    def _read(self, most: int, *, may_wait: bool) -> Sequence[T]:
        """Give what the source has read; wait until there may be something."""
        timeout: float | None = 0
        if may_wait:
            self._thread_sleeps = True
            if not (self._entries or self._ended):
                timeout = None if self._kept_since is None else IDLE_SECONDS
        ready = self._ready(timeout, most)
        self._thread_sleeps = False
        if timeout and not ready:
            self.wake_loop()
        found: list[T] = []
        # While some are read others come: clients that were answered together write one after the
        # other. Without another look a batch had three quarters of them.
        while ready and self.source is not None:
            new = self.source.read(ready)
            found += new
            ready = self._ready(0, most - len(found)) if new and len(found) < most else []
        return found

    def _ready(self, timeout: float | None, most: int) -> list[int]:
        ready = [descriptor for descriptor, _ in self._poll.poll(timeout, most)]
        if self._signal in ready:
            os.eventfd_read(self._signal)
            ready.remove(self._signal)
        return ready

    def _give(self) -> None:
        self._entries.extend(self._of_this_pass)
        self._of_this_pass.clear()
        self._wake_thread()

    def _wake_thread(self) -> None:
        if self._thread_sleeps:
            self._thread_sleeps = False
            os.eventfd_write(self._signal, 1)

    # -- from the thread to the event loop ---------------------------------------------------------

    def run_soon(self, function: Callable[[], object]) -> None:
        """See `daemon.ledger.drivers.port.WriterThread`.

        Once the trio run is over it is not called: no task waits then.
        """
        self._functions.append(function)
        if self._loop_sleeps:
            self._wake_loop()

    def run_later(self, function: Callable[[], object]) -> None:
        """See `daemon.ledger.drivers.port.WriterThread`; `wake_loop` wakes the loop for it."""
        self._functions.append(function)
        if self._kept_since is None:
            self._kept_since = time.monotonic()

    def wake_loop_if_late(self) -> None:
        """Wake a loop that sleeps if functions were kept from it for long."""
        since = self._kept_since
        if since is not None and time.monotonic() - since >= LATE_SECONDS:
            self.wake_loop()

    def wake_loop(self) -> None:
        """Wake a loop that sleeps if there are functions to call."""
        self._kept_since = None
        if self._loop_sleeps and self._functions:
            self._wake_loop()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        self._loop_sleeps = False
        if self._functions:
            self._run()

    def _fall_asleep(self) -> None:
        self._loop_sleeps = True
        if self._functions:
            self._wake_loop()

    def _wake_loop(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._run, idempotent=True)

    def _run(self) -> None:
        while self._functions:
            self._functions.popleft()()
