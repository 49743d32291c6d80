"""A connection to a server, with HTTP/1.1 by llhttp: a third of what httpcore's costs.

trio connects and speaks TLS. Through a proxy the connections are httpcore's
(`daemon.system.connections`).
"""

import os
import re
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import httptools
import httpx
import trio

T = TypeVar("T")

IDLE_SECONDS = 5.0
"""So long is a connection kept without a request (httpx's value). The longer, the likelier is a
request on one that the other side is just closing: its outcome would be unknown."""

MOST_HEAD_BYTES = 64 * 1024
"""Of an answer's head, those of interim answers included."""

READ_BYTES = 64 * 1024

_TARGET = re.compile(rb"[\x21-\x7e]+")
_LINES = re.compile(rb"\A(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""What a request may be made of (RFC 9112, section 3; RFC 9110, sections 5.1 and 5.5)."""

_UNKNOWN_LENGTH = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)


async def within(
    seconds: float | None,
    late: type[httpx.TimeoutException],
    work: Callable[..., Awaitable[T]],
    *arguments: object,
) -> T:
    """Do some work; raises ``late`` if it takes longer than ``seconds``."""
    if seconds is None:
        return await work(*arguments)
    with trio.CancelScope(deadline=trio.current_time() + seconds):
        return await work(*arguments)
    raise late(f"not within {seconds:g} s")


class _Answer:
    """An answer as far as it has come, filled by the callbacks of the parser."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.is_complete = False
        self.keeps_alive = False
        """True if another request may follow on the connection."""
        self._is_framed = False

    @property
    def has_head(self) -> bool:
        """True once the head is there; those of interim answers (1xx) do not count."""
        return self.status >= 200

    def ended(self) -> bool:
        """Whether the connection's end is that of the answer."""
        self.is_complete = self.is_complete or (self.has_head and not self._is_framed)
        return self.is_complete

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keeps_alive = False  # nobody has asked for another one
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # trailers, after the body, are called so too
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self.parser.get_status_code()
        names = {name.lower() for name, _ in self.headers}
        self._is_framed = not names.isdisjoint({b"content-length", b"transfer-encoding"})

    def on_body(self, body: bytes) -> None:
        if not self.is_complete:
            self.parts.append(body)

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_complete:
            self.is_complete = True
            self.keeps_alive = self.parser.should_keep_alive()


class _Socket(trio.abc.Stream):
    """A connected socket, read and written by its descriptor.

    It costs a third of `trio.SocketStream`, which tries to read before it waits and gives way to
    other tasks after each write. Here an answer is waited for in any case.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            sent = os.write(self._stream.socket.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from None
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            descriptor = self._stream.socket.fileno()
            if descriptor < 0:
                raise trio.ClosedResourceError
            try:
                await trio.lowlevel.wait_readable(descriptor)
                return os.read(descriptor, max_bytes or READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from None

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class LlhttpConnection:
    """One connection, for one exchange at a time. It connects with its first request."""

    def __init__(
        self, url: httpx.URL, tls: ssl.SSLContext | None, *, unheard_seconds: float
    ) -> None:
        """``tls``: whom to believe; None for an address without TLS.

        ``unheard_seconds``: see `daemon.system.connections.Connections`.
        """
        self._unheard_milliseconds = int(unheard_seconds * 1000)
        self._host = url.raw_host.decode("ascii")
        self._port = url.port or (443 if tls is not None else 80)
        self._tls = tls
        self._socket: trio.SocketStream | None = None
        self._stream: trio.abc.Stream | None = None
        self._idle_since: float | None = None
        self._is_closed = False

    async def request(self, request: httpx.Request) -> httpx.Response:
        """Make a request; the response's stream reads its body. Raises httpx.TransportError.

        The ``trace`` among the request's extensions is called right before the first byte; what it
        raises ends the request. The ``timeout`` among them has the seconds for connecting, for
        writing, and for each part that is read; without it there is no limit.
        """
        head = _head_of(request)
        in_memory = isinstance(request.stream, httpx.ByteStream)
        content = request.read() if in_memory else await request.aread()
        limits = request.extensions.get("timeout", {})
        if self._stream is None:
            seconds = limits.get("connect")
            self._stream = await within(seconds, httpx.ConnectTimeout, self._connected)
        self._idle_since = None
        if (trace := request.extensions.get("trace")) is not None:
            await trace("send_request_headers.started", {"request": request})
        answer = _Answer()
        # If it breaks here, the answer may have come before.
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            message = head + content
            await within(limits.get("write"), httpx.WriteTimeout, self._stream.send_all, message)
        seconds = limits.get("read")
        taken = 0
        while not answer.has_head:
            taken += await self.read_on(answer, seconds)
            if taken > MOST_HEAD_BYTES and not answer.has_head:
                raise httpx.RemoteProtocolError("the head of the answer is too large")
        body = _AnswerBody(self, answer, seconds)
        response = httpx.Response(
            answer.status, headers=answer.headers, stream=body, request=request
        )
        response.headers.encoding = "iso-8859-1"  # fits any; else httpx tries three in turn
        return response

    def is_available(self) -> bool:
        """Whether it can take a request."""
        return self._idle_since is not None and not self._is_closed

    def has_expired(self) -> bool:
        """Whether it has waited for too long, or the other side has ended it."""
        if self._idle_since is None or self._socket is None:
            return False
        if time.monotonic() - self._idle_since > IDLE_SECONDS:
            return True
        poll = select.poll()
        poll.register(self._socket.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    async def aclose(self) -> None:
        """Close at once."""
        self._is_closed = True
        if self._socket is not None:
            await trio.aclose_forcefully(self._socket)

    async def _connected(self) -> trio.abc.Stream:
        try:
            self._socket = await trio.open_tcp_stream(self._host, self._port)
            self._socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._unheard_milliseconds
            )
            bare = _Socket(self._socket)
            if self._tls is None:
                return bare
            secured = trio.SSLStream(
                bare, self._tls, server_hostname=self._host, https_compatible=True
            )
            await secured.do_handshake()
        except (OSError, trio.BrokenResourceError) as error:
            raise httpx.ConnectError(str(error)) from None
        return secured

    async def read_on(self, answer: _Answer, seconds: float | None) -> int:
        """Read more of an answer; gives how many bytes. Raises httpx.TransportError."""
        if self._stream is None:
            raise httpx.ReadError("there is no connection")
        receive = self._stream.receive_some
        try:
            if seconds is None:
                data = await receive(READ_BYTES)
            else:
                data = await within(seconds, httpx.ReadTimeout, receive, READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from None
        if not data:
            if answer.ended():
                return 0
            raise httpx.RemoteProtocolError("the connection ended before the answer did")
        try:
            answer.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not answer.is_complete:
                raise httpx.RemoteProtocolError(type(error).__name__) from None
            answer.keeps_alive = False  # what follows the answer is none
        if answer.keeps_alive:
            self._idle_since = time.monotonic()
        return len(data)


class _AnswerBody(httpx.AsyncByteStream):
    """The body of an answer, read as it comes."""

    def __init__(
        self, connection: LlhttpConnection, answer: _Answer, seconds: float | None
    ) -> None:
        """``seconds``: for each part."""
        self._connection = connection
        self._answer = answer
        self._seconds = seconds

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answer = self._answer
        while not answer.parts:
            if answer.is_complete:
                raise StopAsyncIteration
            await self._connection.read_on(answer, self._seconds)
        parts, answer.parts = answer.parts, []
        return b"".join(parts)


def _head_of(request: httpx.Request) -> bytes:
    """The request line and the headers. Raises httpx.LocalProtocolError for unfit bytes."""
    target = request.extensions.get("target", request.url.raw_path)
    headers = request.headers.raw
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    # As many lines as headers: none of them has brought another one.
    if (
        not _TARGET.fullmatch(target)
        or not _LINES.fullmatch(lines)
        or lines.count(b"\n") != len(headers)
    ):
        raise httpx.LocalProtocolError("a request with characters that end a line")
    if _UNKNOWN_LENGTH.search(lines):
        raise httpx.LocalProtocolError("a request of unknown length")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode("ascii"), target, lines)
