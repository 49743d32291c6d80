"""The way to Whapi's API: straight or through a proxy, with or without TLS."""

import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import httpx
import trio

from daemon.errors import SettingsError
from daemon.whapi.http_answer import HttpAnswer

_MOST_REFUSAL_BYTES = 64 * 1024
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class NoWay(Exception):
    """The proxy does not let us through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy of the environment."""

    host: str
    port: int
    tls: bool
    authorization: bytes = field(repr=False)
    """The whole header line, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How to reach one server. `tls` checks it, and the proxy; None: there is no TLS."""

    host: str
    port: int
    netloc: str
    """As the ``Host`` header names it."""
    path: str
    """What comes before each path; empty or beginning with a slash."""
    tls: bool
    context: ssl.SSLContext | None
    proxy: Proxy | None = None

    def target(self, path_and_query: str) -> str:
        """What stands in a request's first line: a proxy without a tunnel wants the address."""
        origin = f"http://{self.netloc}" if self.proxy and not self.tls else ""
        return f"{origin}{self.path}{path_and_query}"

    def own_headers(self) -> bytes:
        """The header lines that each request needs because of its way."""
        seen = self.proxy.authorization if self.proxy and not self.tls else b""
        return f"Host: {self.netloc}\r\n".encode("ascii") + seen

    async def open(self) -> tuple[trio.abc.Stream, trio.SocketStream]:
        """Connect: gives what to talk over, and what is under it.

        Raises OSError, trio.BrokenResourceError, NoWay and UnusableAnswer.
        """
        proxy = self.proxy
        host, port = (proxy.host, proxy.port) if proxy else (self.host, self.port)
        socket = await trio.open_tcp_stream(host, port)
        stream: trio.abc.Stream = socket
        try:
            if proxy and proxy.tls:
                stream = await self._secured(stream, proxy.host)
            if proxy and self.tls:
                await self._tunnel(stream, proxy)
            if self.tls:
                stream = await self._secured(stream, self.host)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream, socket

    async def _secured(self, stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
        if self.context is None:
            raise RuntimeError("a route with TLS has no authorities")
        secured = trio.SSLStream(stream, self.context, server_hostname=host, https_compatible=True)
        await secured.do_handshake()
        return secured

    async def _tunnel(self, stream: trio.abc.Stream, proxy: Proxy) -> None:
        """Ask the proxy to pass bytes on (RFC 9110, section 9.3.6): a 2xx has no body."""
        to = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        asked = f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n".encode("ascii")
        await stream.send_all(asked + proxy.authorization + b"\r\n")
        answer = HttpAnswer(most_body_bytes=_MOST_REFUSAL_BYTES)
        try:
            while not answer.status:
                answer.feed(await stream.receive_some())
        finally:
            answer.release()
        if not 200 <= answer.status < 300:
            raise NoWay


def route_to(url: httpx.URL, tls: ssl.SSLContext | None) -> Route:
    """Find the way to an address; proxies of the environment count, except for this machine.

    Those are ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``. Raises SettingsError
    if the proxy is of a kind that is not known here.
    """
    proxy = None if url.host in _HERE else _proxy_for(url)
    secured = url.scheme == "https"
    needs_tls = secured or (proxy is not None and proxy.tls)
    return Route(
        host=url.raw_host.decode("ascii"),
        port=url.port or (443 if secured else 80),
        netloc=url.netloc.decode("ascii"),
        path=url.raw_path.partition(b"?")[0].rstrip(b"/").decode("ascii"),
        tls=secured,
        context=(tls or httpx.create_ssl_context()) if needs_tls else None,
        proxy=proxy,
    )


def _proxy_for(url: httpx.URL) -> Proxy | None:
    known = getproxies()
    address = known.get(url.scheme) or known.get("all") or ""
    if not address or proxy_bypass(url.netloc.decode("ascii")):
        return None
    try:
        found = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme not in {"http", "https"} or not found.host:
        raise SettingsError(["the proxy of the environment: not an http or https address"])
    authorization = b""
    if found.userinfo:
        pair = unquote(found.userinfo.decode("ascii")).encode()
        authorization = b"Proxy-Authorization: Basic " + b64encode(pair) + b"\r\n"
    return Proxy(
        host=found.raw_host.decode("ascii"),
        port=found.port or (443 if found.scheme == "https" else 80),
        tls=found.scheme == "https",
        authorization=authorization,
    )
