"""hypercorn's HTTP/1.1 protocol, stricter and without HTTP/2, and the tasks of requests.

Two kinds of requests are refused before they reach an app: ambiguous ones (RFC 9112, section 6.1),
and WebSocket handshakes whose client does not wait for the answer (RFC 6455, section 4.1).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, H11SendableEvent, Scope

from daemon.http.asgi import EdgeLog, log_fault
from daemon.http.clients import CLIENT, Client


class Http11(H11Protocol):
    """The protocol of one connection. A head and its body are one write.

    ``100 Continue`` is sent when the app asks for the body. Used in the tasks of its connection.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._head = b""
        self._is_refused = False

    async def handle(self, event: Event) -> None:
        """Handle data of the client; refuse data that comes before its handshake was accepted."""
        stream = self.stream
        if not isinstance(stream, WSStream) or stream.handshake.accepted or _is_end(event):
            await super().handle(event)
        elif stream.state is ASGIWebsocketState.HANDSHAKE:
            await self._refuse(400)

    async def proceed(self) -> None:
        """Send ``100 Continue`` if the client waits for it (RFC 9110, section 10.1.1)."""
        if self.connection.they_are_waiting_for_100_continue:
            headers = self.config.response_headers("h11")
            await super()._send_h11_event(
                h11.InformationalResponse(status_code=100, headers=headers)
            )

    async def stream_send(self, event: StreamEvent) -> None:
        """Send an event of a request's stream; during the stop the answer closes the connection."""
        if self._is_refused:
            return
        if isinstance(event, Response) and event.status_code >= 200 and self._stopping:
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)
        if isinstance(event, EndBody) and isinstance(self.connection, H11WSConnection):
            # A handshake was refused. If the reason was data sent too early, hypercorn leaves both
            # the connection and the waiting app open.
            await self.send(Closed())

    @property
    def _stopping(self) -> bool:
        return self.context.terminated.is_set()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore offers of HTTP/2, as a server may; the request is answered in HTTP/1.1."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version not in {b"1.1", b"1.0"}:
            await self._refuse(505)
        elif request.method != request.method.upper():
            # Methods are case-sensitive (RFC 9110, section 9.1); hypercorn changes their case.
            await self._refuse(501)
        elif self._is_ambiguous(request):
            await self._refuse(400)
        else:
            await super()._create_stream(request)

    def _is_ambiguous(self, request: h11.Request) -> bool:
        """Whether the end of the request is given twice, or a handshake is invalid."""
        names = {name for name, _ in request.headers}
        lengths = names & {b"content-length", b"transfer-encoding"}
        if b"upgrade" in names and request.method == b"GET":
            upgrades = {value.lower() for name, value in request.headers if name == b"upgrade"}
            if b"websocket" in upgrades:
                early = lengths or self.connection.trailing_data[0]
                return bool(early) or not all(value.isascii() for _, value in request.headers)
        chunks_in_1_0 = request.http_version == b"1.0" and b"transfer-encoding" in lengths
        return len(lengths) == 2 or chunks_in_1_0

    async def _refuse(self, status: int) -> None:
        """Answer without the app, and close."""
        self._is_refused = True
        await self._send_error_response(status)
        await self.send(Closed())

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.InformationalResponse) and event.status_code == 100:
            return  # hypercorn sends it for every body, wanted or not: see `proceed`
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data
            return
        data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data=data))


def _is_end(event: Event) -> bool:
    """True for everything but data of the client."""
    return not (isinstance(event, RawData) and event.data)


# -- the tasks of requests ------------------------------------------------------------------------
#
# hypercorn 0.18 on trio has two faults that leave connections open for ever:
#
# - It feeds the end of a request to the app while the app is still inside its last `send`.
#   quart-trio then cancels that `send`, and the connection is neither reused nor closed. Here the
#   end is fed without a checkpoint in between.
# - It waits for room in the app's queue even for the end of a request, and feeds an app that has
#   returned. A request that is refused before its body was read then hangs. Here the end never
#   waits, and events without a reader are dropped.
#
# WebSockets are closed with code 1001 at the stop; hypercorn leaves them to the grace period.


class RequestTasks(TaskGroup):
    """The tasks of one connection: one for each request's app, none for anything else."""

    def __init__(
        self,
        context: WorkerContext,
        log: EdgeLog,
        client: Client,
        proceed: Callable[[], Awaitable[None]],
    ) -> None:
        """``proceed`` sends ``100 Continue`` if the client waits for it."""
        super().__init__()
        self._context = context
        self._log = log
        self._client = client
        self._proceed = proceed

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start `app` for one request and return how to feed it.

        The task ends with the app. Feeding waits while the app's queue is full, but never for the
        last event, nor after the app has returned.
        """
        known: dict[str, Any] = cast(dict[str, Any], scope)
        known[CLIENT] = self._client
        if self._client.peer:
            known["client"] = (self._client.address(known), 0)
        request = _Request(app, scope, send, config.max_app_queue_size, self._proceed)
        if self._nursery is None:
            raise RuntimeError("spawn_app was called outside of the connection's nursery")
        if scope["type"] == "websocket":
            self._nursery.start_soon(self._run_websocket, request, name="websocket app")
        else:
            self._nursery.start_soon(self._run, request, name="request app")
        return request.feed

    async def _run(self, request: "_Request") -> None:
        """Run one request's app to its end; its failure is logged and answered with 500."""
        try:
            await request.run()
        except Exception as error:  # noqa: BLE001 - the boundary of the app's code
            log_fault(self._log, "a request failed", error)
        await request.finish()

    async def _run_websocket(self, request: "_Request") -> None:
        """Run a WebSocket's app until it ends, or until the server stops (close code 1001)."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_at_stop, request, name="websocket stop")
            await self._run(request)
            nursery.cancel_scope.cancel()

    async def _end_at_stop(self, request: "_Request") -> None:
        await self._context.terminated.wait()
        await request.leave()


class _Request:
    """One request between the protocol, which feeds it, and the app, which receives."""

    def __init__(
        self,
        app: AppWrapper,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
        queue_size: int,
        proceed: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._proceed: Callable[[], Awaitable[None]] | None = proceed
        self._scope = scope
        self._send = send
        self._into, self._out = trio.open_memory_channel[ASGIReceiveEvent](queue_size)
        self._last: ASGIReceiveEvent = {"type": "http.disconnect"}
        self._left = False

    async def feed(self, event: ASGIReceiveEvent) -> None:
        """Hand `event` to the app. The protocol calls this; for the last event it never waits."""
        if event["type"] in {"http.disconnect", "websocket.disconnect"}:
            self._last = event
            self._into.close()
            return
        try:
            await self._into.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The app has returned, or knows that the request is over: the rest is dropped.
            await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        with self._into, self._out:
            await self._app(
                self._scope,
                self._receive,
                self._send_unless_left,
                trio.to_thread.run_sync,
                trio.from_thread.run,
            )

    async def finish(self) -> None:
        """Note in the protocol that the app will send no more."""
        await self._send(None)

    async def leave(self) -> None:
        """Close a WebSocket because the server goes away (code 1001, RFC 6455 section 7.4.1)."""
        await self._send(
            {"type": "websocket.close", "code": 1001, "reason": "the server is stopping"}
        )
        self._left = True
        self._last = {"type": "websocket.disconnect", "code": 1001}
        self._into.close()

    async def _receive(self) -> ASGIReceiveEvent:
        if self._proceed is not None:
            proceed, self._proceed = self._proceed, None
            await proceed()
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            return self._last

    async def _send_unless_left(self, message: ASGISendEvent) -> None:
        if not self._left:
            await self._send(message)
