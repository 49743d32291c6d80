"""hypercorn's HTTP/1.1 protocol, stricter than it is, and without HTTP/2.

What is refused here never reaches an app: requests that can be read in two ways (RFC 9112, section
6.1), and WebSockets' handshakes whose client does not wait for the answer (RFC 6455, section 4.1).
"""

from dataclasses import replace
from typing import Any

import h11
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import H11SendableEvent


class Http11(H11Protocol):
    """One connection's protocol: one write for a head and its body, no answer unasked.

    ``100 Continue`` is said when the app asks for the body. Used in the tasks of its connection.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._head = b""
        self._is_refused = False

    async def handle(self, event: Event) -> None:
        """Take in what the client sent, but nothing before its handshake was accepted."""
        stream = self.stream
        if not isinstance(stream, WSStream) or stream.handshake.accepted or _is_end(event):
            await super().handle(event)
        elif stream.state is ASGIWebsocketState.HANDSHAKE:
            await self._refuse(400)

    async def proceed(self) -> None:
        """Say that the body is wanted, if the client waits for that word (RFC 9110, 10.1.1)."""
        if self.connection.they_are_waiting_for_100_continue:
            headers = self.config.response_headers("h11")
            await super()._send_h11_event(
                h11.InformationalResponse(status_code=100, headers=headers)
            )

    async def stream_send(self, event: StreamEvent) -> None:
        """Pass on what a request's stream says, telling the client when we are stopping."""
        if self._is_refused:
            return
        if isinstance(event, Response) and event.status_code >= 200 and self._stopping:
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)
        if isinstance(event, EndBody) and isinstance(self.connection, H11WSConnection):
            # A handshake was refused. hypercorn forgets the app that waits behind it if the reason
            # was data sent too early, and leaves both open.
            await self.send(Closed())

    @property
    def _stopping(self) -> bool:
        return self.context.terminated.is_set()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore offers of HTTP/2: a server may, and the request is answered in HTTP/1.1."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version not in {b"1.1", b"1.0"}:
            await self._refuse(505)
        elif request.method != request.method.upper():
            # Methods have a case (RFC 9110, section 9.1), which hypercorn does not keep.
            await self._refuse(501)
        elif self._is_ambiguous(request):
            await self._refuse(400)
        else:
            await super()._create_stream(request)

    def _is_ambiguous(self, request: h11.Request) -> bool:
        """Whether where the request ends is said twice, or a handshake is none."""
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
        """Answer without asking the app, and close."""
        self._is_refused = True
        await self._send_error_response(status)
        await self.send(Closed())

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.InformationalResponse) and event.status_code == 100:
            return  # hypercorn says it for every body, wanted or not: see `proceed`
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
    """True for whatever is no data of the client: its end among it."""
    return not (isinstance(event, RawData) and event.data)
