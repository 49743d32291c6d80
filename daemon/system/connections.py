"""The connections to one server, kept for the next request, as httpx's transport.

They are our own (`daemon.system.llhttp_connection`), or httpcore's where the way leads through a
proxy. httpcore's own pool looks through all of its connections for each of the idle ones, at the
beginning and the end of every request: with a hundred of them that costs several milliseconds. Here
they are a stack, so a request costs the same whatever their number. Only this module knows
httpcore.
"""

import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx
import trio

from daemon.errors import SettingsError
from daemon.system.llhttp_connection import IDLE_SECONDS, LlhttpConnection, within

UNHEARD_SECONDS = 15.0
"""As long as the usual time limit of a call."""

_CLOSING_SECONDS = 1.0
"""More than closing takes: it does not wait for TLS's close_notify either."""

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})

_ERRORS: Mapping[type[Exception], type[httpx.TransportError]] = {
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.NetworkError: httpx.NetworkError,
}


class KeptConnection(Protocol):
    """One connection to the server, for one exchange at a time."""

    async def request(self, request: httpx.Request) -> httpx.Response:
        """Make a request. Raises httpx.TransportError, and what its ``trace`` raises."""

    def is_available(self) -> bool:
        """Whether it can take a request; one that is new connects first, and cannot yet."""

    def has_expired(self) -> bool:
        """Whether it has waited for too long, or the other side has ended it."""

    def is_closed(self) -> bool:
        """Whether it was closed."""

    async def aclose(self) -> None:
        """Close it."""


class Connections(httpx.AsyncBaseTransport):
    """At most so many connections to one server. Any task may use them; close with `aclose`.

    ``most_idle``: so many are kept without a request; None: all. ``tls``: whom to believe; None:
    httpx's own authorities. What the other side has not confirmed for ``unheard_seconds`` is given
    up on, also by the system, which would send it once the network is back although the request was
    given up on long ago. Proxies of the environment are used.
    Raises SettingsError if that proxy cannot be.
    """

    def __init__(
        self,
        url: httpx.URL,
        tls: ssl.SSLContext | None,
        *,
        most: int,
        most_idle: int | None = None,
        unheard_seconds: float = UNHEARD_SECONDS,
    ) -> None:
        self.url = url
        self._most_idle = most if most_idle is None else most_idle
        self._new = _maker(url, tls, unheard_seconds)
        self._idle: deque[KeptConnection] = deque()
        """The one that was used last is the last."""
        self._places = trio.Semaphore(most)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one request; its response has to be closed, which frees the connection.

        The ``timeout`` among the request's extensions counts as in httpx. Raises
        httpx.TransportError, and what a ``trace`` among the extensions raises.
        """
        connection = await self.take(request.extensions.get("timeout", {}).get("pool"))
        try:
            response = await connection.request(request)
        except BaseException:
            await self.give_back(connection)
            raise
        response.stream = _ResponseBody(response, partial(self.give_back, connection))
        return response

    async def take(self, seconds: float | None = None) -> KeptConnection:
        """Return a connection to one task, which gives it back; waits while all are taken.

        The one used last, so that those too many are the ones that grow old. Raises
        httpx.PoolTimeout if all are taken for ``seconds``.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await within(seconds, httpx.PoolTimeout, self._places.acquire)
        try:
            while self._idle:
                known = self._idle.pop()
                if not known.has_expired():
                    return known
                await _close(known)
        except BaseException:
            self._places.release()
            raise
        return self._new()

    async def give_back(self, connection: KeptConnection) -> None:
        """Keep a connection for the next request if it can take one, or close it."""
        self._places.release()
        if connection.is_available():
            self._idle.append(connection)
        else:
            await _close(connection)
        while self._idle and (len(self._idle) > self._most_idle or self._idle[0].has_expired()):
            await _close(self._idle.popleft())

    async def aclose(self) -> None:
        """Close those that wait for a request."""
        while self._idle:
            await _close(self._idle.pop())


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response; closing it frees its connection. May be closed twice."""

    def __init__(self, response: httpx.Response, give_back: Callable[[], Awaitable[None]]) -> None:
        self._body = cast("httpx.AsyncByteStream", response.stream)
        self._give_back = give_back
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._body.aclose()
        finally:
            await self._give_back()


class _ProxiedConnection:
    """httpcore's, which knows tunnels, as one of ours."""

    def __init__(self, known: httpcore.AsyncConnectionInterface) -> None:
        self._known = known
        self.is_available, self.has_expired = known.is_available, known.has_expired
        self.is_closed, self.aclose = known.is_closed, known.aclose

    async def request(self, request: httpx.Request) -> httpx.Response:
        try:
            content = await request.aread()
            answer = await self._known.handle_async_request(_outgoing(request, content))
        except tuple(_ERRORS) as error:
            raise _as_httpx(error) from None
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_ProxiedBody(answer), request=request
        )


def _outgoing(request: httpx.Request, content: bytes) -> httpcore.Request:
    # httpcore would also send ``target`` to a proxy, in the place of the whole address.
    extensions = dict(request.extensions)
    url, target = request.url, extensions.pop("target", request.url.raw_path)
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
        headers=request.headers.raw,
        content=_Content(content),
        extensions=extensions,
    )


class _ProxiedBody(httpx.AsyncByteStream):
    """The body of a response of httpcore's."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._chunks = answer.aiter_stream()
        self.aclose = answer.aclose  # type: ignore[method-assign]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except tuple(_ERRORS) as error:
            raise _as_httpx(error) from None


class _Content:
    """A request's content in one piece, or nothing: an iterable that is its own iterator.

    httpcore's own one iterates by an async generator, which a failed or cancelled write leaves
    behind unfinished; trio then warns of it when it is collected.
    """

    def __init__(self, content: bytes) -> None:
        self._left = [content] if content else []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def _as_httpx(error: Exception) -> httpx.TransportError:
    return next(ours for theirs, ours in _ERRORS.items() if isinstance(error, theirs))(str(error))


def proxy_for(url: httpx.URL) -> httpx.URL | None:
    """Find the proxy that the environment names for an address; none for this machine.

    By ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case of letters.
    Raises SettingsError if it is of a kind that is not known here.
    """
    if url.host in _THIS_MACHINE:
        return None
    known = getproxies()
    address = known.get(url.scheme) or known.get("all") or ""
    if not address or proxy_bypass(url.netloc.decode("ascii")):
        return None
    try:
        proxy = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL:
        proxy = httpx.URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise SettingsError(["the proxy of the environment: not an http or https address"])
    return proxy


async def _close(connection: KeptConnection) -> None:
    """Close a connection, also for a task that is cancelled: the next ones need closing too."""
    with trio.move_on_after(_CLOSING_SECONDS, shield=True):
        await connection.aclose()


def _maker(
    url: httpx.URL, tls: ssl.SSLContext | None, unheard_seconds: float
) -> Callable[[], KeptConnection]:
    """Make what makes the connections to an address."""
    proxy = proxy_for(url)
    secured = url.scheme == "https"
    secured_proxy = proxy is not None and proxy.scheme == "https"
    context = (tls or httpx.create_ssl_context()) if secured or secured_proxy else None
    if proxy is None:
        return partial(LlhttpConnection, url, context, unheard_seconds=unheard_seconds)
    named = proxy.username or proxy.password
    # As a pool it is not used.
    maker = httpcore.AsyncHTTPProxy(
        httpcore.URL(scheme=proxy.raw_scheme, host=proxy.raw_host, port=proxy.port),
        proxy_auth=(proxy.username.encode(), proxy.password.encode()) if named else None,
        ssl_context=context,
        proxy_ssl_context=context if secured_proxy else None,
        keepalive_expiry=IDLE_SECONDS,
        network_backend=httpcore.TrioBackend(),
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unheard_seconds * 1000))],
    )
    origin = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port).origin
    return lambda: _ProxiedConnection(maker.create_connection(origin))
