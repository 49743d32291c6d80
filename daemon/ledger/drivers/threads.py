"""Gives work of tasks to a database's threads: `Readers`, and what a task waits with."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from traceback import clear_frames
from typing import Any, Generic, Protocol, TypeVar, cast

import trio

from daemon.errors import StoreUnavailable
from daemon.ledger.drivers.port import PendingWrite

T = TypeVar("T")


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


class AwaitedWrite(PendingWrite[T]):
    """A write for which a task waits."""

    __slots__ = ("done",)

    def __init__(self, operation: Callable[[Any], T]) -> None:
        super().__init__(operation)
        self.done = Done()


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
