"""Fetching a file that somebody sent: from the link in its message, else from the gateway.

A link is a stranger's word. Its host is resolved here, every address of it must be public, and the
connection goes to the very address that was looked at; a redirect is looked at like a link. The
gateway's token goes to the gateway alone. What comes is written to the disk as it comes, up to a
size and a time, without being unpacked.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import httpx
import trio

from daemon.errors import MediaDelayed, MediaError, MediaRefused
from daemon.media.addresses import Origin, check_origin, is_public, origin_of
from daemon.media.files import Draft, StoredFile, look_at

MAX_REDIRECTS = 3
PIECE = 256 * 1024
"""Bytes that are written in one go."""

MAX_CONNECTIONS = 100
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 409, 425, 429})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the IP addresses of a host. Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """Where files come from and where they go."""

    folder: Path
    api_url: str
    """The gateway's: files without a link are asked of it."""
    token: str
    max_bytes: int
    timeout_seconds: float
    hosts: Sequence[str] = ()
    """The only hosts that a link may name; none: any."""


class _Hop(NamedTuple):
    """One request on the way to a file."""

    url: str
    origin: Origin


class Downloader:
    """Fetches files, each within its time. Any number of tasks may use it at once."""

    def __init__(self, http: httpx.AsyncClient, rules: FetchRules, *, resolve: Resolve) -> None:
        self._http = http
        self._rules = rules
        self._resolve = resolve
        self._gateway = origin_of(rules.api_url)

    async def fetch(
        self, *, link: str, media_id: str, inline: str, medium: str, declared: str
    ) -> StoredFile:
        """Bring a file into the folder: one that came with the message, by link, or by id.

        ``medium`` and ``declared``: see `daemon.media.kinds.kind_of`. Raises MediaRefused if it
        will never be had, MediaDelayed if it may be later.
        """
        look = partial(look_at, medium=medium, declared=declared)
        if inline:
            return await trio.to_thread.run_sync(look, self._rules.folder, inline)
        sources = [(link, False)] if link else []
        if media_id:
            path = f"/media/{quote(media_id, safe='')}"
            sources.append((self._rules.api_url.rstrip("/") + path, True))
        failures: list[MediaError] = []
        for source, trusted in sources:
            fetch = partial(self._follow, source, trusted=trusted)
            try:
                return await self._in_time(partial(fetch, medium=medium, declared=declared))
            except MediaError as error:
                failures.append(error)
        # The gateway may know a file only later, so what may pass counts for more.
        delayed = [error for error in failures if isinstance(error, MediaDelayed)]
        raise [*delayed, *failures, MediaRefused("the message names no file")][0]

    async def _in_time(self, fetch: Callable[[], Awaitable[StoredFile]]) -> StoredFile:
        with trio.move_on_after(self._rules.timeout_seconds):
            try:
                return await fetch()
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
                raise MediaDelayed(f"no file came: {type(error).__name__}") from None
        raise MediaDelayed("it did not come in time")

    async def _follow(self, url: str, *, trusted: bool, medium: str, declared: str) -> StoredFile:
        """Make the request of a link, and those it leads to; ``trusted``: the address is ours."""
        hop = _Hop(url, origin_of(url))
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._request(hop, trusted=trusted)
            try:
                if response.status_code not in _REDIRECTS:
                    _require_success(response)
                    return await self._keep(response, medium=medium, declared=declared)
                target = urljoin(hop.url, response.headers.get("location", ""))
            finally:
                await response.aclose()
            hop = _Hop(target, origin_of(target))
        raise MediaRefused("the link leads on and on")

    async def _request(self, hop: _Hop, *, trusted: bool) -> httpx.Response:
        """Ask for one address, at an IP address that may be asked."""
        origin = hop.origin
        at_gateway = origin == self._gateway
        may_be_private = at_gateway and (trusted or origin.host in _LOOPBACK)
        if not may_be_private:
            check_origin(origin, hosts=self._rules.hosts)
        address = await self._address(origin, any_address=may_be_private)
        headers = {"Host": _host_header(origin), "Accept": "*/*", "Accept-Encoding": "identity"}
        if trusted and at_gateway:
            headers["Authorization"] = f"Bearer {self._rules.token}"
        parts = urlsplit(hop.url)
        url = httpx.URL(
            scheme=origin.scheme,
            host=address,
            port=origin.port,
            raw_path=f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}".encode(),
        )
        request = self._http.build_request(
            "GET", url, headers=headers, extensions={"sni_hostname": origin.host}
        )
        return await self._http.send(request, stream=True)

    async def _address(self, origin: Origin, *, any_address: bool) -> str:
        try:
            addresses = await self._resolve(origin.host, origin.port)
        except (OSError, UnicodeError):
            raise MediaDelayed("the link's host is not known") from None
        if not addresses:
            raise MediaDelayed("the link's host has no address")
        if not any_address and not all(map(is_public, addresses)):
            raise MediaRefused("the link leads to an address that is not public")
        return addresses[0]

    async def _keep(self, response: httpx.Response, *, medium: str, declared: str) -> StoredFile:
        """Write the body to the folder. A file that is refused or cut leaves nothing behind."""
        limit = self._rules.max_bytes
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise MediaRefused(f"it is larger than {limit} bytes")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise MediaRefused("it comes packed, which was not asked for")
        draft = await trio.to_thread.run_sync(partial(Draft, self._rules.folder, limit=limit))
        try:
            await _fill(draft, response, limit)
            said = declared or response.headers.get("content-type", "")
            keep = partial(draft.keep, medium=medium, declared=said)
            return await trio.to_thread.run_sync(keep)
        finally:
            draft.discard()


async def _fill(draft: Draft, response: httpx.Response, limit: int) -> None:
    """Write a body to a draft, piece by piece.

    A body that is too long is given up by closing the connection under the loop: leaving the loop
    would leave the generators of the HTTP library behind, unfinished.
    """
    piece = bytearray()
    seen = 0
    try:
        async for chunk in response.aiter_raw():
            seen += len(chunk)
            if seen > limit:
                await response.aclose()
                continue
            piece += chunk
            if len(piece) >= PIECE:
                await trio.to_thread.run_sync(draft.add, bytes(piece))
                piece.clear()
    except (httpx.HTTPError, httpx.StreamError):
        if seen <= limit:
            raise
    if seen > limit:
        raise MediaRefused(f"it is larger than {limit} bytes")
    await trio.to_thread.run_sync(draft.add, bytes(piece))


def _require_success(response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    if status >= 500 or status in _LATER:
        raise MediaDelayed(f"its server answered {status}")
    raise MediaRefused(f"its server answered {status}")


def _host_header(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    usual = {"http": 80, "https": 443}[origin.scheme]
    return host if origin.port == usual else f"{host}:{origin.port}"


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host, as `Resolve` says."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@asynccontextmanager
async def open_downloader(
    rules: FetchRules, *, resolve: Resolve = resolve_host, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Downloader]:
    """Open the downloader; its connections close with the block.

    No proxy is used, since it would do the resolving; and no connection is used twice, since the
    next file may be another host's at the same address. ``tls``: whom to believe; None: httpx's own
    authorities, which take a while to read.
    """
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0)
    timeout = httpx.Timeout(rules.timeout_seconds)
    async with httpx.AsyncClient(
        trust_env=False, limits=limits, timeout=timeout, verify=tls or True
    ) as http:
        yield Downloader(http, rules, resolve=resolve)
