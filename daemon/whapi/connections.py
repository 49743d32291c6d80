"""The connections to Whapi's API: kept for the next request, a bounded number of them.

httpx's own pool looks through all of its connections for each of the idle ones, at the beginning
and the end of every request: with a hundred of them that costs several milliseconds.
"""

from collections import deque
from contextlib import suppress
from typing import NamedTuple

import trio

from daemon.whapi.http_answer import HttpAnswer
from daemon.whapi.route import Route

IDLE_SECONDS = 5.0
"""So long is a connection kept without a request (httpx's value). The longer, the likelier is a
request on one that the other side is just closing: nobody knows then whether it arrived."""

READ_BYTES = 64 * 1024


class Connection(NamedTuple):
    """One connection; `socket` is what is under `stream`."""

    stream: trio.abc.Stream
    socket: trio.SocketStream
    idle_until: float = 0
    """On trio's clock."""

    async def exchange(self, request: bytes, answer: HttpAnswer) -> None:
        """Send a request and read its answer whole.

        Raises OSError, trio.BrokenResourceError, and what `HttpAnswer.feed` does.
        """
        # A request that cannot be written may be answered all the same: "too large", before all
        # of it was read.
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(request)
        while not answer.complete:
            answer.feed(await self.stream.receive_some(READ_BYTES))


class Connections:
    """Connections of one route. Any task may use them; those that wait close with `aclose`."""

    def __init__(self, route: Route, *, most: int) -> None:
        self.route = route
        self._idle: deque[Connection] = deque()
        """The one that was used last is the last."""
        self._places = trio.Semaphore(most)

    async def take(self) -> Connection:
        """Give a connection to one task, which gives it back; waits while all are taken.

        The one used last, so that those too many are the ones that grow old. Raises what
        `Route.open` does.
        """
        await self._places.acquire()
        try:
            now = trio.current_time()
            while self._idle:
                known = self._idle.pop()
                # A connection that waits has nothing to say: it can only be its end.
                if now < known.idle_until and not known.socket.socket.is_readable():
                    return known
                await trio.aclose_forcefully(known.stream)
            stream, socket = await self.route.open()
        except BaseException:
            self._places.release()
            raise
        return Connection(stream, socket)

    async def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Keep a connection for the next request, or close it."""
        self._places.release()
        now = trio.current_time()
        if reusable:
            self._idle.append(connection._replace(idle_until=now + IDLE_SECONDS))
        else:
            await trio.aclose_forcefully(connection.stream)
        while self._idle and self._idle[0].idle_until <= now:
            await trio.aclose_forcefully(self._idle.popleft().stream)

    async def aclose(self) -> None:
        """Close those that wait for a request."""
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)
