"""One client's connection: hypercorn's HTTP/1.1 and WebSocket protocol behind guards of ours.

hypercorn 0.18 parses and frames (`daemon.http.http11`); reading, writing, timing and closing are
done here, because its own trio connection (`hypercorn.trio.tcp_server`) has faults that end or hang
a whole server:

- An exception in one connection leaves it and takes the server along, as ``Upgrade: h2c`` with
  settings that cannot be read. `daemon.http.server` contains it, and HTTP/2 is not spoken at all
  (RFC 9113 withdrew the upgrade).
- It writes under a shield without a deadline, so a client that stops reading hangs the stop. Here
  the shield has a ceiling, and `abort` ends it at once.
- It has no limit on the time that a request's head may take, and starts a task each time that a
  connection falls idle. Here a deadline of the reading task does both.

`daemon.http.http11` holds the two guards that concern the app of a request. Requests that
came whole (`daemon.http.whole_request`) pass hypercorn by, at a third of the cost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from daemon.http.asgi import EdgeLog
from daemon.http.clients import VISIT, Crowd, Networks, Visit
from daemon.http.http11 import Http11, RequestTasks
from daemon.http.whole_request import AtOnce, WholeRequest, answered_at_once, whole_request

BODY_READ_BYTES = 64 * 1024
"""Bytes read at once inside a request: hypercorn's own choice."""
JUST_ANSWERED_SECONDS = 0.25
"""How long after an answer the client may still send its next request although we are stopping."""

UNREAD = {h11.SEND_BODY, h11.ERROR}
"""What a client's side of the exchange looks like if it may still be sending."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take; the defaults are generous for gateways and for browsers."""

    connections: int = 1_000
    """Connections open at once; then the oldest that never showed a secret makes room for a new
    one (`daemon.http.clients`)."""
    strangers_per_address: int = 100
    """Connections of one address that never showed a secret; a trusted proxy may have more."""
    head_bytes: int = 16 * 1024
    """Size of a request's head: more is answered with 431."""
    head_seconds: float = 10
    """From the first byte of a request's head (or from the connection's start) to its last."""
    idle_seconds: float = 75
    """Between two requests; longer than the 60 s for which proxies usually keep a connection."""
    send_seconds: float = 10
    """For one write to be taken by the client's side."""
    linger_seconds: float = 1
    """After our last word, how long what the client still sends is read and thrown away, so that
    the answer is not lost to a reset (RFC 9112, section 9.6)."""
    linger_bytes: int = 1024 * 1024
    """How much of it."""


class HttpConnection:
    """Serves one client until either side closes, and then closes the stream.

    Made and run by the server's listener task, one task a connection.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        *,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        limits: Limits,
        log: EdgeLog,
        at_once: AtOnce,
        crowd: Crowd,
        proxies: Networks,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._log = log
        self._at_once = at_once
        self._stream = stream
        self._limits = limits
        self._writing = trio.Lock()
        self._reading = trio.CancelScope(deadline=trio.current_time() + limits.head_seconds)
        self._idle_since: float | None = trio.current_time()
        self._head_begun = True
        self._peer_ended = False
        socket = stream.socket
        peer = _address(socket, socket.getpeername)
        self._crowd = crowd
        self._visit = Visit(peer[0] if peer else "", proxies, partial(crowd.proved, self))
        self._tasks = RequestTasks(context, log, self._visit, self._proceed)
        self._protocol = Http11(
            app,
            config,
            context,
            self._tasks,
            ConnectionState({}),
            False,
            peer,
            _address(socket, socket.getsockname),
            self._handle,
        )

    @property
    def address(self) -> str:
        """The address of the other end; empty if it has none."""
        return self._visit.peer

    @property
    def is_exempt(self) -> bool:
        """True if the other end stands for many clients: a trusted proxy, or a Unix socket."""
        return self._visit.through_proxy or not self._visit.peer

    @property
    def idle_since(self) -> float | None:
        """When it fell idle, by trio's clock; None while a request is under way."""
        return self._idle_since

    @property
    def idle(self) -> bool:
        """True while no request is under way."""
        return self._idle_since is not None

    async def run(self) -> None:
        """Serve the client. Runs until the connection is over, or cancelled.

        Raises whatever goes wrong in this connection, in an exception group: the server contains
        it. The stream is closed in any case.
        """
        try:
            async with self._tasks:
                await self._read()
            await self._linger()
        finally:
            self._visit.leave()
            await trio.aclose_forcefully(self._stream)

    def end_if_idle(self) -> None:
        """Close as soon as no request is lost by it, as the server is stopping.

        A client that was answered a moment ago may have its next request on the way already: it
        gets that moment, so that a restart under load resets nobody. Who is held up is let go.
        """
        self._visit.leave()
        if self._idle_since is not None:
            self._reading.deadline = self._idle_since + JUST_ANSWERED_SECONDS

    def abort(self) -> None:
        """Close at once, whatever is being read or written."""
        self._visit.leave()
        self._reading.cancel()
        self._stream.socket.close()

    async def _read(self) -> None:
        """Feed the protocol until the client closes, a deadline passes, or we want to close."""
        with self._reading:
            while not self._peer_ended:
                try:
                    data = await self._stream.receive_some(
                        self._limits.head_bytes if self.idle else BODY_READ_BYTES
                    )
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
                if self._nothing_begun and (request := whole_request(data, self._at_once)):
                    await self._answer(request)
                    continue
                if not data:
                    self._peer_ended = True
                elif not self._head_begun:
                    self._head_begun = True
                    self._set_deadline(self._limits.head_seconds)
                await self._protocol.handle(RawData(data=bytes(data)))
        await self._protocol.handle(Closed())

    @property
    def _nothing_begun(self) -> bool:
        """True if the next byte read is the first of a request."""
        reader = self._protocol.connection
        return (
            self.idle
            and isinstance(reader, h11.Connection)
            and reader.their_state is h11.IDLE
            and not reader.trailing_data[0]
        )

    async def _answer(self, request: WholeRequest) -> None:
        """Answer a request here and now, in the reading task.

        Nobody else writes meanwhile, and what cancels this task closes the connection: neither
        lock nor shield is needed.
        """
        self._idle_since = None
        self._reading.deadline = inf
        request.scope[VISIT] = self._visit
        answer = await answered_at_once(self._app, request, self._log)
        last = answer.closes or self._context.terminated.is_set()
        self._reading.deadline = trio.current_time() + self._limits.send_seconds
        try:
            await self._stream.send_all(
                answer.encode(self._config.response_headers("h11"), last=last)
            )
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            last = True
        if last:
            self._reading.cancel()
            return
        self._fall_idle()
        if self._context.terminated.is_set():
            self.end_if_idle()

    async def _handle(self, event: Event) -> None:
        """Do what the protocol says; called in the reading task and in the app's."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
            await self._protocol.handle(Closed())
        elif isinstance(event, Updated) and event.idle:
            self._fall_idle()
        elif isinstance(event, Updated):
            self._idle_since = None
            self._reading.deadline = inf

    async def _proceed(self) -> None:
        await self._protocol.proceed()

    def _fall_idle(self) -> None:
        self._idle_since = trio.current_time()
        self._crowd.fell_idle()
        self._head_begun = False
        self._set_deadline(self._limits.idle_seconds)

    def _set_deadline(self, seconds: float) -> None:
        if self._idle_since is not None:
            self._reading.deadline = trio.current_time() + seconds

    async def _write(self, data: bytes) -> None:
        """Write all of `data`, or end the connection at the ceiling.

        Shielded, since what the protocol has framed must go out whole: a handler's own time limit,
        or quart-trio's word that a request is over, would else cut it in half.
        """
        with trio.move_on_after(self._limits.send_seconds, shield=True):
            async with self._writing:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                else:
                    return
        # The client is gone, or does not read: what it was being told cannot be finished.
        self.abort()
        await self._protocol.handle(Closed())

    async def _linger(self) -> None:
        """Say that we are through, and let the client read our answer before we close."""
        if self._peer_ended or self._protocol.connection.their_state not in UNREAD:
            return
        left = self._limits.linger_bytes
        try:
            with trio.move_on_after(self._limits.linger_seconds):
                await self._stream.send_eof()
                while left > 0:
                    data = await self._stream.receive_some(BODY_READ_BYTES)
                    if not data:
                        return
                    left -= len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


def _address(socket: trio.socket.SocketType, name: Callable[[], Any]) -> tuple[str, int] | None:
    """Return one end's address; None where there is none, as after a reset or on a Unix socket."""
    try:
        return parse_socket_addr(socket.family, name())
    except OSError:
        return None
