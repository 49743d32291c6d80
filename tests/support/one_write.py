"""Posts webhooks as most clients do: head and body in one write, on connections that are kept."""

import re

import h11
import httpx
import trio

from daemon.sandbox.webhooks import WholeBody
from support.plain import NO_TLS

QUARTERS = 4

_CHAT = re.compile(rb'"chat_id": ?"([0-9]+)')


class OneWrite(httpx.AsyncBaseTransport):
    """Sends requests whole; those about a quarter of the chats go httpx's way, in two writes.

    For plain HTTP.
    """

    def __init__(self, quarter: int) -> None:
        """``quarter``: of the chats with this remainder, if divided by `QUARTERS`."""
        self._quarter = quarter
        self._in_two = httpx.AsyncHTTPTransport(verify=NO_TLS)
        self._kept: list[trio.SocketStream] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        chat = _CHAT.search(body)
        if chat is not None and int(chat[1]) % QUARTERS == self._quarter:
            request.stream = WholeBody(body)
            return await self._in_two.handle_async_request(request)
        try:
            stream = self._idle() or await trio.open_tcp_stream(
                request.url.host, request.url.port or 80
            )
            try:
                response = await _answer(stream, request, body)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise httpx.NetworkError(type(error).__name__) from error
        if response.headers.get("connection") == "close":
            await trio.aclose_forcefully(stream)
        else:
            self._kept.append(stream)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for stream in self._kept:
            stream.socket.close()
        await self._in_two.aclose()

    def _idle(self) -> trio.SocketStream | None:
        """A connection that the other side has not closed."""
        while self._kept:
            stream = self._kept.pop()
            if not stream.socket.is_readable():
                return stream
            stream.socket.close()
        return None


async def _answer(stream: trio.SocketStream, request: httpx.Request, body: bytes) -> httpx.Response:
    """Send a request; gives its answer, without the body. Raises h11.RemoteProtocolError."""
    protocol = h11.Connection(h11.CLIENT)
    events = (
        h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        ),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    await stream.send_all(b"".join(protocol.send(event) or b"" for event in events))
    response = httpx.Response(500)
    while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            protocol.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Response):
            response = httpx.Response(event.status_code, headers=list(event.headers))
    return response
