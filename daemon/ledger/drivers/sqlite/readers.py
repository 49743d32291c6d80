"""Reading beside the writer: a few threads, each with a connection that can change nothing."""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from traceback import clear_frames
from typing import Generic, TypeVar, cast

import trio

from daemon.errors import StoreUnavailable

T = TypeVar("T")


class _Read(Generic[T]):
    """One read on its way through a reader thread."""

    __slots__ = ("done", "dropped", "error", "query", "result")

    def __init__(self, query: Callable[[sqlite3.Connection], T]) -> None:
        self.query = query
        self.done = trio.Event()
        self.dropped = False
        """Nobody waits for it any more."""
        self.result: T | None = None
        self.error: Exception | None = None


class Readers:
    """The reader threads of a database, one for each connection they are given.

    They last as long as the process of the store: ``trio.to_thread`` would hand each read over to
    a thread anew, with its context, its name and its place, which costs more than most reads.
    """

    def __init__(self, connections: Sequence[sqlite3.Connection]) -> None:
        """``connections`` are closed by `close`. Made inside the trio run that reads."""
        self.connections = tuple(connections)
        self._reads: queue.SimpleQueue[_Read[object] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._closing = False
        self._threads = [
            threading.Thread(
                target=self._read_all, args=[connection], name="store reader", daemon=True
            )
            for connection in self.connections
        ]
        for thread in self._threads:
            thread.start()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See `Database.read`. If the caller is cancelled, it is dropped."""
        if self._closing:
            raise StoreUnavailable("cannot read the store: it is closed")
        read = _Read(query)
        self._reads.put(cast("_Read[object]", read))
        try:
            await read.done.wait()
        except trio.Cancelled:
            read.dropped = True
            raise
        if isinstance(read.error, sqlite3.Error):
            raise StoreUnavailable(f"cannot read the store: {read.error}") from read.error
        if read.error is not None:
            raise read.error
        return cast("T", read.result)

    def close(self) -> None:
        """End the threads, and what they still read, then close the connections. Idempotent.

        Blocks until they have ended; to be called in a thread.
        """
        self._closing = True
        for connection in self.connections:
            self._reads.put(None)
            with suppress(sqlite3.ProgrammingError):  # closed before
                connection.interrupt()
        for thread in self._threads:
            thread.join()
        for connection in self.connections:
            connection.close()

    def _read_all(self, connection: sqlite3.Connection) -> None:
        """Do one read after the other until told to end. Runs in a reader thread."""
        while (read := self._reads.get()) is not None:
            if read.dropped:
                continue
            try:
                read.result = read.query(connection)
            except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
                # A cursor in there would keep this connection at the store of this moment.
                clear_frames(error.__traceback__)
                read.error = error
            # The run may be over already; then nobody waits.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(read.done.set)
