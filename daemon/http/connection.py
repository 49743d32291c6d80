"""One client's connection: hypercorn's HTTP/1.1 and WebSocket protocol with our own I/O.

hypercorn 0.18 parses and frames (`daemon.http.http11`). Reading, writing, timing and closing are
done here, because its own trio connection (`hypercorn.trio.tcp_server`) has faults that end or hang
a whole server:

- An exception in one connection ends the server, as ``Upgrade: h2c`` with invalid settings does.
  `daemon.http.server` contains it, and HTTP/2 is not offered (RFC 9113 withdrew the upgrade).
- It writes under a shield without a deadline, so a client that stops reading hangs the stop. Here
  the shield has a time limit, and `abort` ends it at once.
- It does not limit the time that a request's head takes, and starts a task each time that a
  connection becomes idle. Here a deadline of the reading task does both.

Requests that were read whole (`daemon.http.whole_request`) bypass hypercorn, at a third of the
cost; `daemon.http.hook` answers the usual ones of them without ASGI either.
"""

import os
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
from daemon.http.clients import Client, ConnectionLimit, Networks
from daemon.http.http11 import Http11, RequestTasks
from daemon.http.usual_webhooks import UsualWebhooks, Webhooks
from daemon.http.whole_request import (
    END,
    Answer,
    IsHot,
    WholeRequest,
    is_webhook,
    run_app,
    whole_request,
)

BODY_READ_BYTES = 64 * 1024
"""Bytes read at once inside a request: hypercorn's own choice."""
JUST_ANSWERED_SECONDS = 0.25
"""For so long after an answer the client may still send its next request during the stop."""

CLOSING_END = b"\r\nconnection: close\r\n\r\n"
"""The end of the head of the last response on a connection."""

UNREAD = {h11.SEND_BODY, h11.ERROR}
"""h11's states of a client that may still be sending."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for one client; the defaults are generous for gateways and for browsers."""

    connections: int = 1_000
    """Open at the same time; see `daemon.http.clients.ConnectionLimit`."""
    unauthenticated_per_address: int = 100
    """Connections of one address without a valid secret; a trusted proxy may have more."""
    head_bytes: int = 16 * 1024
    """Of a request's head; a larger one is answered with 431."""
    head_seconds: float = 10
    """From the first byte of a request's head (or from the connection's start) to its last."""
    idle_seconds: float = 75
    """Between two requests; longer than the 60 s for which proxies usually keep a connection."""
    send_seconds: float = 10
    """For one write."""
    linger_seconds: float = 1
    """For so long after our last byte the client's data is read and dropped, so that a reset does
    not destroy the answer (RFC 9112, section 9.6)."""
    linger_bytes: int = 1024 * 1024
    """At most so much of it."""

    @property
    def check_seconds(self) -> float:
        """How often connections are checked for having passed a limit: they may be so late."""
        return min(1.0, min(self.head_seconds, self.idle_seconds, self.send_seconds) / 4)


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
        is_hot: IsHot,
        webhooks: Callable[[], Webhooks | None],
        usual: UsualWebhooks,
        limit: ConnectionLimit,
        proxies: Networks,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._log = log
        self._is_hot = is_hot
        self._webhooks = webhooks
        self._usual = usual
        self._stream = stream
        self._limits = limits
        self._writing = trio.Lock()
        self._reading = trio.CancelScope()
        self._due = trio.current_time() + limits.head_seconds
        """When reading is cut off, on trio's clock; see `cut_if_late`."""
        self._idle_since: float | None = trio.current_time()
        self._head_begun = True
        self._peer_ended = False
        self._brings_webhooks = False
        """True if its last request was a webhook. The next one may then be left to the store's
        thread; pages never wait for that."""
        socket = stream.socket
        peer = _address(socket, socket.getpeername)
        self._limit = limit
        self.client = Client(peer[0] if peer else "", proxies, partial(limit.authenticated, self))
        self._tasks = RequestTasks(context, log, self.client, self._proceed)
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
        return self.client.peer

    @property
    def is_exempt(self) -> bool:
        """True if the other end is no single client: a trusted proxy, or a Unix socket."""
        return self.client.through_proxy or not self.client.peer

    @property
    def idle_since(self) -> float | None:
        """When its last request ended, by trio's clock; None during a request."""
        return self._idle_since

    @property
    def idle(self) -> bool:
        """True between two requests."""
        return self._idle_since is not None

    async def run(self) -> None:
        """Serve the client. Runs until the connection is over, or cancelled.

        Raises any error of this connection, in an exception group, which the server contains. The
        stream is closed in any case.
        """
        try:
            async with self._tasks:
                await self._read()
            await self._linger()
        finally:
            self.client.leave()
            await trio.aclose_forcefully(self._stream)

    def end_if_idle(self) -> None:
        """Close when that loses no request; called when the server stops.

        A client that was answered a moment ago may be sending its next request already. It gets
        `JUST_ANSWERED_SECONDS`, so that a restart under load resets no client. Delays end.
        """
        self.client.leave()
        with self._usual.lock:  # the store's thread may begin or end a request
            if self._idle_since is not None:
                self._due = self._idle_since + JUST_ANSWERED_SECONDS

    def cut_if_late(self, now: float) -> None:
        """Close if a time limit has passed; the server calls it for all connections."""
        if now >= self._due:
            self._reading.cancel()

    def abort(self) -> None:
        """Close at once, in the middle of reading or writing."""
        self.client.leave()
        self._usual.forget_connection(self)
        self._reading.cancel()
        self._stream.socket.close()

    async def _read(self) -> None:
        """Feed the protocol until the client closes, a deadline passes, or we close."""
        with self._reading:
            while not self._peer_ended:
                data = await self._received()
                if self._nothing_begun and (request := whole_request(data, self._is_hot)):
                    await self._answer(request)
                    continue
                if not data:
                    self._peer_ended = True
                elif not self._head_begun:
                    self._head_begun, self._brings_webhooks = True, False
                    self._set_deadline(self._limits.head_seconds)
                await self._protocol.handle(RawData(data=bytes(data)))
        await self._protocol.handle(Closed())

    async def _received(self) -> bytes:
        """What the client has sent; nothing if it has closed, or the connection is broken."""
        try:
            if self.idle and not self._head_begun:
                if self._is_for_store_thread:
                    return await self._usual.unusual_data(self)
                # Past trio's stream, which costs as much as parsing a request, and without a read
                # before the wait: after an answer it would find nothing.
                descriptor = self._stream.socket.fileno()
                if descriptor < 0:  # closed meanwhile, by `abort` or a write that failed
                    return b""
                await trio.lowlevel.wait_readable(descriptor)
                try:
                    return os.read(descriptor, self._limits.head_bytes)
                except BlockingIOError:
                    pass  # the kernel may be wrong about it
            most = self._limits.head_bytes if self.idle else BODY_READ_BYTES
            return bytes(await self._stream.receive_some(most))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return b""

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

    @property
    def _is_for_store_thread(self) -> bool:
        """Whether the next request is best read by the store's thread."""
        client = self.client
        return (
            self._brings_webhooks
            and client.authenticated
            and not client.through_proxy
            and self._usual.is_open
        )

    async def _answer(self, request: WholeRequest) -> None:
        """Answer a request in the reading task.

        No other task writes meanwhile, and a cancellation of this task closes the connection, so
        neither lock nor shield is needed.
        """
        self.begin_request()
        self._brings_webhooks = is_webhook(request.path)
        webhooks, answer = self._webhooks(), None
        if webhooks is not None:
            answer = await webhooks.answer_whole(request, self.client)
        if answer is None:
            answer = await run_app(self._app, request, self.client, self._log)
        await self.send_answer(answer)

    async def send_answer(self, answer: Answer) -> None:
        """Send an answer in the reading task."""
        last = self._context.terminated.is_set()
        if isinstance(answer, bytes):
            content = answer.replace(END, CLOSING_END, 1) if last else answer
        else:
            last = last or answer.closes
            content = answer.encode(self._config.response_headers("h11"), last=last)
        if not await self._sent(content) or last:
            self._reading.cancel()
            return
        self._become_idle()
        if self._context.terminated.is_set():
            self.end_if_idle()

    # -- for `daemon.http.usual_webhooks`, whose thread reads and answers while this task waits

    @property
    def descriptor(self) -> int:
        """The socket's; negative once it is closed."""
        return self._stream.socket.fileno()

    def begin_request(self) -> None:
        """No time limit of the client holds until its answer."""
        self._idle_since, self._due = None, inf

    def answer_at_once(self, answer: bytes, now: float) -> bytes | None:
        """Write an answer, which always fits into the socket's buffer, and begin to be idle.

        Gives what the reading task has to send, empty if nothing; None: the client is gone.
        """
        if self._context.terminated.is_set():
            return answer
        sent = self._write_some(answer)
        if sent is None or sent < len(answer):
            return None if sent is None else answer[sent:]
        self._head_begun = False
        self._due = now + self._limits.idle_seconds
        self._idle_since = now
        return b""

    @property
    def is_room_awaited(self) -> bool:
        """Whether somebody waits for any connection to become idle."""
        return self._limit.is_awaited

    def became_idle(self) -> None:
        """Tell who waits for room."""
        self._limit.became_idle()

    def _write_some(self, content: bytes) -> int | None:
        """Write what the socket takes, past trio's stream; None if the client is gone."""
        try:
            return os.write(self._stream.socket.fileno(), content)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    async def _sent(self, content: bytes) -> bool:
        """Send an answer in the reading task; False if the client is gone."""
        sent = self._write_some(content)
        if sent is None:
            return False
        if sent < len(content):
            self._due = trio.current_time() + self._limits.send_seconds
            try:
                await self._stream.send_all(content[sent:])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def _handle(self, event: Event) -> None:
        """Handle an event of the protocol; called in the reading task and in the app's."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
            await self._protocol.handle(Closed())
        elif isinstance(event, Updated) and event.idle:
            self._become_idle()
        elif isinstance(event, Updated):
            self._idle_since, self._due = None, inf

    async def _proceed(self) -> None:
        await self._protocol.proceed()

    def _become_idle(self) -> None:
        self._idle_since = now = trio.current_time()
        self._limit.became_idle()
        self._head_begun = False
        self._due = now + self._limits.idle_seconds

    def _set_deadline(self, seconds: float) -> None:
        if self._idle_since is not None:
            self._due = trio.current_time() + seconds

    async def _write(self, data: bytes) -> None:
        """Write all of `data`, or close the connection at the time limit.

        Shielded, because framed data must be written whole: a handler's own time limit, or
        quart-trio's end of a request, would cut it in half.
        """
        with trio.move_on_after(self._limits.send_seconds, shield=True):
            async with self._writing:
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                else:
                    return
        # The client is gone, or does not read.
        self.abort()
        await self._protocol.handle(Closed())

    async def _linger(self) -> None:
        """Send the end of the stream, and let the client read our answer before we close."""
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
    """The address of one end; None if it has none: after a reset, or on a Unix socket."""
    try:
        return parse_socket_addr(socket.family, name())
    except OSError:
        return None
