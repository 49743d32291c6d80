"""A WebSocket client for tests: it sends nothing by itself, and can stop reading."""

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

Header = tuple[bytes, bytes]


class Refused(Exception):
    """The server did not accept the handshake."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class WebSocketClient:
    """One connection after its handshake."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.closed: CloseConnection | None = None
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events: deque[Event] = deque()
        self._text = ""

    async def shake_hands(self, host: str, target: str, headers: Sequence[Header]) -> None:
        """Ask for the connection; raises Refused."""
        request = Request(host=host, target=target, extra_headers=list(headers))
        await self.stream.send_all(self._protocol.send(request))
        answer = await self._event()
        if isinstance(answer, RejectConnection):
            body = await self._event() if answer.has_body else None
            raise Refused(
                answer.status_code, bytes(body.data) if isinstance(body, RejectData) else b""
            )
        assert isinstance(answer, AcceptConnection)

    async def receive(self) -> dict[str, Any]:
        """The next message; raises EndOfChannel once the server has closed."""
        while True:
            event = await self._event()
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    said: dict[str, Any] = json.loads(self._text)
                    self._text = ""
                    return said
            elif isinstance(event, CloseConnection):
                self.closed = event
                raise trio.EndOfChannel

    async def lines(self, count: int) -> list[dict[str, Any]]:
        """The next lines of the live log, without other messages between them."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            said = await self.receive()
            found += said.get("lines", [])
        return found

    async def live(self) -> list[dict[str, Any]]:
        """All messages before the connection is live."""
        found: list[dict[str, Any]] = []
        while (said := await self.receive())["type"] != "live":
            found += said.get("lines", [])
        return found

    async def _event(self) -> Event:
        while not self._events:
            data = await self.stream.receive_some()
            self._protocol.receive_data(bytes(data) or None)
            self._events.extend(self._protocol.events())
        return self._events.popleft()


@asynccontextmanager
async def websocket(
    port: int, target: str, *, host: str = "", headers: Sequence[Header] = ()
) -> AsyncIterator[WebSocketClient]:
    """Connect to this machine; raises Refused if the server does not want to."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = WebSocketClient(stream)
        await client.shake_hands(host or f"127.0.0.1:{port}", target, headers)
        yield client
