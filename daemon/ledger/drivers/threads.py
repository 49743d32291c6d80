"""Hands work of tasks to a database's threads: `HandOver` for writes, `Readers` for reads."""

import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from traceback import clear_frames
from typing import Any, Generic, Protocol, TypeVar, cast

import trio

from daemon.errors import StoreUnavailable

T = TypeVar("T")

LATE_SECONDS = 0.005
"""How long a thread that goes on working may keep what is not urgent from the event loop."""

IDLE_SECONDS = 0.001
"""And one that finds nothing to do."""


class WriteSource(Protocol):
    """Brings writes to a writer's thread by sockets, without a task for each.

    The thread calls all of it, one after the other: what was taken is answered before more is.
    """

    def take(self, descriptors: Sequence[int]) -> Sequence[Any]:
        """Read from these descriptors, which are ready; gives the `ReceivedWrite`s that came.

        Must not raise, as `settled` and `answer`.
        """

    def settled(self) -> Callable[[], object]:
        """Give what the event loop is to do for what was taken: it is stored, or has its error."""

    def answer(self) -> None:
        """Answer what was taken."""


class HandOver(trio.abc.Instrument, Generic[T]):
    """Gathers the entries of one pass of the event loop and gives them to a thread together.

    A thread that is woken for each entry competes with the loop for the interpreter lock and finds
    little to do each time; woken once a pass, it finds all of it, and a webhook costs a sixth less.
    The delay is small: trio calls `before_io_wait` in each pass, before it polls or sleeps.

    What the thread gives back is done in `after_io_wait`, so that the tasks that it wakes run in
    the pass that begins then. Only a loop that sleeps is woken for it, which costs both threads a
    system call. The thread calls `take`, `give_back`, `give_back_later` and `hasten`; the event
    loop calls everything else.
    """

    def __init__(self) -> None:
        """Hand over from now on, until `end`; `close` it when the thread has ended."""
        self._gathered: list[T] = []
        self._handed: deque[list[T] | None] = deque()
        self._poll = select.epoll()
        self._signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._signal, select.EPOLLIN)
        self._thread_waits = False
        """True while nothing but the signal, or the source, brings the thread to what is handed."""
        self._source: WriteSource | None = None
        self._kept_since: float | None = None
        """When the thread began to keep what is not urgent, by `time.monotonic`."""
        self._waiting: list[T] = []
        self._ended = False
        self._finished: deque[Callable[[], object]] = deque()
        self._sleeps = False
        """True while nothing but a wake-up brings the loop to what is finished."""
        self._token = trio.lowlevel.current_trio_token()
        trio.lowlevel.add_instrument(self)

    def put(self, entry: T) -> None:
        """Hand this entry over at the end of the pass."""
        self._gathered.append(entry)

    def end(self) -> None:
        """Hand over what is left; later entries are ignored. Idempotent."""
        try:
            trio.lowlevel.remove_instrument(self)
        except KeyError:
            return
        self._handed.append(self._gathered)
        self._hand(None)
        self._sleep()

    def close(self) -> None:
        """Close the descriptors. The thread has ended. Idempotent."""
        signal, self._signal = self._signal, -1
        if signal >= 0:
            self._poll.close()
            os.close(signal)

    def receive(self, source: WriteSource) -> None:
        """Take from a source too, from now on; it has its descriptors watched."""
        self._source = source

    def watch(self, descriptor: int) -> bool:
        """Have the source read from a descriptor whenever it is ready; False if one is closed.

        Any thread may call it.
        """
        try:
            self._poll.register(descriptor, select.EPOLLIN)
        except (OSError, ValueError):
            return False
        return not self._ended

    def ignore(self, descriptor: int) -> None:
        """Watch a descriptor no more. Any thread may call it."""
        with suppress(OSError, ValueError):  # closed meanwhile
            self._poll.unregister(descriptor)

    def before_io_wait(self, timeout: float) -> None:
        """See `trio.abc.Instrument`."""
        if self._gathered:
            self._hand(self._gathered)
            self._gathered = []
        if timeout > 0:
            self._sleep()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        self._sleeps = False
        if self._finished:
            self._finish()

    def give_back(self, finish: Callable[[], object]) -> None:
        """Have a function called in the event loop's thread; it returns at once, without raising.

        Once the trio run is over it is not called: no task waits then.
        """
        self._finished.append(finish)
        if self._sleeps:
            self._wake()

    def give_back_later(self, finish: Callable[[], object]) -> None:
        """Do the same for what is not urgent: a loop that sleeps is woken by `hasten`."""
        self._finished.append(finish)
        if self._kept_since is None:
            self._kept_since = time.monotonic()

    def hasten(self, *, at_once: bool = False) -> None:
        """Wake a loop that sleeps and was not told for long of what is finished."""
        since = self._kept_since
        if at_once or (since is not None and time.monotonic() - since >= LATE_SECONDS):
            self._kept_since = None
            if self._sleeps and self._finished:
                self._wake()

    def _hand(self, entries: list[T] | None) -> None:
        """Hand entries over, and wake a thread that waits. It looks again after its flag is set."""
        self._handed.append(entries)
        if self._thread_waits:
            self._thread_waits = False
            os.eventfd_write(self._signal, 1)

    def _sleep(self) -> None:
        """Ask for wake-ups. The flag comes first: `give_back` appends before it reads the flag."""
        self._sleeps = True
        if self._finished:
            self._wake()

    def _wake(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._finish, idempotent=True)

    def _finish(self) -> None:
        while self._finished:
            self._finished.popleft()()

    def take(self, most: int) -> list[T]:
        """Wait for entries; give at most ``most`` of them, and none after the end.

        Those of the loop come in order, and before those of the source.
        """
        while True:
            self._gather()
            if len(self._waiting) >= most or self._ended:
                break
            if not self._waiting or self._source is not None:
                self._waiting += self._received(most - len(self._waiting))
            if self._waiting:
                break
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        if not taken:
            self.hasten(at_once=True)  # the thread ends
        return taken

    def _gather(self) -> None:
        while self._handed:
            handed = self._handed.popleft()
            if handed is None:
                self._ended = True
            else:
                self._waiting += handed

    def _received(self, most: int) -> Sequence[T]:
        """Wait, unless entries wait already; give what the source has read meanwhile."""
        timeout = 0.0 if self._waiting else IDLE_SECONDS if self._kept_since else None
        if timeout != 0:
            self._thread_waits = True
            if self._handed:
                timeout = 0.0
        ready = [descriptor for descriptor, _ in self._poll.poll(timeout, most)]
        self._thread_waits = False
        if self._signal in ready:
            os.eventfd_read(self._signal)
            ready.remove(self._signal)
        elif timeout and not ready:
            self.hasten(at_once=True)
        return self._source.take(ready) if ready and self._source is not None else ()


class Done:
    """An event for which one task waits; a `trio.Event`, for any number of tasks, costs twice that.

    Used in the event loop alone.
    """

    __slots__ = ("_is_set", "_task")

    def __init__(self) -> None:
        self._is_set = False
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> None:
        """Wait until it is set. One task may wait at a time."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def set(self) -> None:
        """Wake the task that waits, or will wait. Called once."""
        self._is_set = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _give_up(self, _raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class QueuedWrite(Generic[T]):
    """One write on its way through a writer thread."""

    __slots__ = ("done", "error", "operation", "result")

    def __init__(self, operation: Callable[[Any], T]) -> None:
        self.operation = operation
        self.done = Done()
        self.result: T | None = None
        self.error: BaseException | None = None

    def finish(self) -> None:
        """Wake the task that waits. Called in the event loop, once."""
        self.done.set()


class ReceivedWrite(QueuedWrite[T]):
    """A write of a `WriteSource`, for which no task waits."""

    __slots__ = ()

    def __init__(self, operation: Callable[[Any], T]) -> None:
        self.operation = operation
        self.result = self.error = None

    def finish(self) -> None:
        """Nobody waits: the source is told when its writes are settled."""


class ReadSource(Protocol):
    """One connection to read with."""

    def use(self) -> Any:
        """Return the connection; made again if it is broken. Called by the reader's thread."""

    def has_ended(self, error: Exception) -> bool:
        """Whether the connection has ended with this error: a read may be repeated on another."""

    def fault(self, error: Exception) -> str:
        """The fault that the database reports; empty if the error is the query's own."""

    def interrupt(self) -> None:
        """Break off what is being read; called by another thread."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class _Read(Generic[T]):
    """One read on its way through a reader thread."""

    __slots__ = ("done", "dropped", "error", "query", "result")

    def __init__(self, query: Callable[[Any], T]) -> None:
        self.query = query
        self.done = Done()
        self.dropped = False
        """True once its caller was cancelled."""
        self.result: T | None = None
        self.error: Exception | None = None


class Readers:
    """The reader threads of a database, one for each source.

    They live as long as the database: ``trio.to_thread`` would dispatch each read to a thread with
    a new context and name, which costs more than most reads.
    """

    def __init__(self, sources: Sequence[ReadSource]) -> None:
        """`close` closes ``sources``. Called inside the trio run that reads."""
        self.sources = tuple(sources)
        self._reads: queue.SimpleQueue[_Read[object] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._read_all, args=[source], name="store reader", daemon=True)
            for source in self.sources
        ]
        for thread in self._threads:
            thread.start()

    async def read(self, query: Callable[[Any], T]) -> T:
        """See `daemon.ledger.drivers.port.Database.read`. Dropped if the caller is cancelled."""
        if self._closing:
            raise StoreUnavailable("cannot read the store: it is closed")
        read = _Read(query)
        self._reads.put(cast("_Read[object]", read))
        try:
            await read.done.wait()
        except trio.Cancelled:
            read.dropped = True
            raise
        if read.error is not None:
            raise read.error
        return cast("T", read.result)

    def close(self) -> None:
        """Interrupt the reads, end the threads, close the connections. Idempotent.

        Blocks until the threads have ended; call it in a thread.
        """
        self._closing = True
        for source in self.sources:
            self._reads.put(None)
            source.interrupt()
        for thread in self._threads:
            thread.join()
        for source in self.sources:
            source.close()

    def _read_all(self, source: ReadSource) -> None:
        """Run one query after the other until the end is queued. Runs in a reader thread."""
        while (read := self._reads.get()) is not None:
            if read.dropped:
                continue
            try:
                read.result = _result(source, read.query)
            except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
                # A cursor in its frames would keep this connection at the snapshot of this moment.
                clear_frames(error.__traceback__)
                read.error = error
                if fault := source.fault(error):
                    read.error = StoreUnavailable(f"cannot read the store: {fault}")
                    read.error.__cause__ = error
            # Once the trio run is over, no task waits.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(read.done.set)


def _result(source: ReadSource, query: Callable[[Any], T]) -> T:
    """Run a query; once more if the connection turns out to have ended."""
    try:
        return query(source.use())
    except Exception as error:
        if not source.has_ended(error):
            raise
    return query(source.use())
