"""Downloads a received file: from the link in its message, else from the gateway.

The link was written by a stranger, who must not make the daemon call machines of its own network.
So its host is resolved here, every address of it must be public, and the connection goes to the
address that was checked; a redirect is checked like a link. Only the gateway gets the gateway's
token. The body is written to disk as it arrives, within a size and a time, and is not unpacked.
"""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import httpx
import msgspec
import trio

from daemon.errors import FilesUnavailable, MediaDelayed, MediaError, MediaRefused
from daemon.files.port import FileStore
from daemon.media.files import FOLDER, Draft, StoredFile, look_at

# -- which addresses files may be fetched from -----------------------------------------------------


_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TEREDO = ipaddress.IPv6Network("2001::/32")
"""IPv6 addresses that stand for IPv4 ones: RFC 6052, RFC 8215, RFC 4291, RFC 4380."""

_NOBODYS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's agent and resolver, reached from inside its machines only
        "192.0.0.0/24",  # protocols' own (RFC 6890); a cloud's metadata are at 192.0.0.192
        "192.0.2.0/24",  # documentation: RFC 5737
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",  # documentation: RFC 3849
        "3fff::/20",  # documentation: RFC 9637
        "5f00::/16",  # segments of a provider's own network: RFC 9602
    )
)
"""Networks that are not public, even if this Python's own list says so."""


class WebOrigin(NamedTuple):
    """One server: scheme, host in lower case, port."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> WebOrigin:
    """The server of a URL. Raises MediaRefused if it is not a plain http or https URL."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise MediaRefused("the link is no address")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MediaRefused("the link is no address") from None
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or parts.username is not None:
        raise MediaRefused("the link is no plain https address")
    return WebOrigin(parts.scheme, host, port or _PORTS[parts.scheme])


def check_origin(origin: WebOrigin, *, hosts: Sequence[str]) -> None:
    """Refuse a server that files may not come from, before its name is resolved.

    ``hosts``: the only allowed ones, with their subdomains; empty: any. Raises MediaRefused.
    """
    if origin.scheme != "https":
        raise MediaRefused("the link is no https address")
    allowed = [host.lower().removeprefix("*.") for host in hosts]
    if allowed and not any(origin.host == h or origin.host.endswith(f".{h}") for h in allowed):
        raise MediaRefused("the link's host is not among media.hosts")


def is_public(address: str) -> bool:
    """True for a public IP address.

    False for loopback, private, link-local, shared, reserved and multicast addresses, for IPv6
    addresses that lead to such IPv4 ones, and for text that is no address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        return _is_public_v6(found)
    return _is_plain(found)


def _is_plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in network for network in _NOBODYS)
    )


def _is_public_v6(address: ipaddress.IPv6Address) -> bool:
    if address in _NAT64:
        return _is_plain(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _LOCAL_NAT64 or address in _TEREDO or address.is_site_local:
        return False
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _COMPATIBLE:
        return False
    return _is_plain(inner if inner is not None else address)


MAX_REDIRECTS = 3
PIECE = 256 * 1024
"""Bytes written at once."""

MOST_ANSWER_BYTES = 64 * 1024
"""Of an answer that says where a file is."""

MAX_CONNECTIONS = 100
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 409, 425, 429})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the IP addresses of a host. Raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """The sources of files, and the folder for them."""

    files: FileStore
    api_url: str
    """The gateway's address, for files without a link."""
    token: str
    max_bytes: int
    timeout_seconds: float
    hosts: Sequence[str] = ()
    """The only hosts that a link may name; empty: any."""
    path: str = "/media/{}"
    """Of a file at the gateway, with ``{}`` in place of its id."""
    file_hosts: Sequence[str] = ()
    """Where the files are that ``path`` only gives the addresses of; they take the token too.
    Empty: it gives the file itself."""


class _FileAddress(msgspec.Struct):
    url: str


class _Hop(NamedTuple):
    """One request on the way to a file."""

    url: str
    origin: WebOrigin


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
        """Store a file in the folder: one that came with the message, by link, or by id.

        ``medium`` and ``declared``: see `daemon.media.kinds.kind_of`. Raises MediaRefused if it
        can never be fetched, MediaDelayed if it may work later.
        """
        look = partial(look_at, medium=medium, declared=declared)
        if inline:
            return await self._look_at(inline, look)
        sources = [(link, False)] if link else []
        if media_id:
            path = self._rules.path.replace("{}", quote(media_id, safe=""))
            sources.append((self._rules.api_url.rstrip("/") + path, True))
        failures: list[MediaError] = []
        for source, trusted in sources:
            fetch = partial(self._follow, source, trusted=trusted)
            try:
                return await self._in_time(partial(fetch, medium=medium, declared=declared))
            except MediaError as error:
                failures.append(error)
        # The gateway may have a file only later, so a temporary failure is raised first.
        delayed = [error for error in failures if isinstance(error, MediaDelayed)]
        raise [*delayed, *failures, MediaRefused("the message names no file")][0]

    async def _look_at(self, inline: str, look: Callable[[Path, str], StoredFile]) -> StoredFile:
        """Determine the type of a file that came with its message, perhaps to another node."""
        files = self._rules.files
        try:
            await files.fetch(FOLDER, inline)
        except OSError as error:
            raise MediaDelayed(str(error)) from error
        return await trio.to_thread.run_sync(look, files.path(FOLDER, ""), inline)

    async def _in_time(self, fetch: Callable[[], Awaitable[StoredFile]]) -> StoredFile:
        with trio.move_on_after(self._rules.timeout_seconds):
            try:
                return await fetch()
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
                raise MediaDelayed(f"no file came: {type(error).__name__}") from None
        raise MediaDelayed("it did not come in time")

    async def _follow(self, url: str, *, trusted: bool, medium: str, declared: str) -> StoredFile:
        """Request a link and its redirects; ``trusted``: the URL is ours, or the gateway's."""
        if trusted and self._rules.file_hosts:
            url = await self._address_of_file(url)
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
        raise MediaRefused("the link redirects too often")

    async def _address_of_file(self, url: str) -> str:
        """Ask the gateway where a file is; the address is short-lived."""
        response = await self._request(_Hop(url, self._gateway), trusted=True)
        try:
            _require_success(response)
            answer = bytearray()
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > MOST_ANSWER_BYTES:
                    await response.aclose()
        finally:
            await response.aclose()
        try:
            return msgspec.json.decode(bytes(answer), type=_FileAddress).url
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise MediaDelayed("the gateway does not say where the file is") from None

    def _holds_files(self, origin: WebOrigin) -> bool:
        """Whether a server is one of those that the gateway keeps its files on."""
        hosts = self._rules.file_hosts
        named = any(origin.host == host or origin.host.endswith(f".{host}") for host in hosts)
        return named and origin.scheme == "https"

    async def _request(self, hop: _Hop, *, trusted: bool) -> httpx.Response:
        """Request one URL at an allowed IP address."""
        origin = hop.origin
        at_gateway = origin == self._gateway
        may_be_private = at_gateway and (trusted or origin.host in _LOOPBACK)
        holds_files = trusted and self._holds_files(origin)
        if not may_be_private:
            check_origin(origin, hosts=() if holds_files else self._rules.hosts)
        address = await address_of(origin, self._resolve, any_address=may_be_private)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if trusted and (at_gateway or holds_files):
            headers["Authorization"] = f"Bearer {self._rules.token}"
        request = request_at(self._http, "GET", hop.url, address, headers=headers)
        return await self._http.send(request, stream=True)

    async def _keep(self, response: httpx.Response, *, medium: str, declared: str) -> StoredFile:
        """Write the body to the folder. A file that is refused or cut leaves nothing behind."""
        limit = self._rules.max_bytes
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise MediaRefused(f"it is larger than {limit} bytes")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise MediaRefused("it comes compressed, which was not asked for")
        files = self._rules.files
        folder = files.path(FOLDER, "")
        draft = await trio.to_thread.run_sync(partial(Draft, folder, limit=limit))
        try:
            await _fill(draft, response, limit)
            declared_type = declared or response.headers.get("content-type", "")
            keep = partial(draft.keep, medium=medium, declared=declared_type)
            kept = await trio.to_thread.run_sync(keep)
        finally:
            draft.discard()
        try:
            await files.share(FOLDER, kept.name)
        except FilesUnavailable as error:
            raise MediaDelayed(str(error)) from error
        return kept


async def _fill(draft: Draft, response: httpx.Response, limit: int) -> None:
    """Write a body to a draft, piece by piece.

    For a body that is too long the connection is closed and the loop runs on: leaving the loop
    would leave the HTTP library's generators unfinished.
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


async def address_of(origin: WebOrigin, resolve: Resolve, *, any_address: bool) -> str:
    """The IP address to connect to; unless ``any_address``, all of the host must be public.

    Raises MediaDelayed if there is none now, MediaRefused if one is not public.
    """
    try:
        addresses = await resolve(origin.host, origin.port)
    except (OSError, UnicodeError):
        raise MediaDelayed("the host is not known") from None
    if not addresses:
        raise MediaDelayed("the host has no address")
    if not any_address and not all(map(is_public, addresses)):
        raise MediaRefused("the host has an address that is not public")
    return addresses[0]


class RequestBody(httpx.AsyncByteStream):
    """A request body in one piece.

    httpx's own is an async generator; a call that is cancelled while it is written leaves that to
    the garbage collector, of which trio warns later.
    """

    def __init__(self, body: bytes) -> None:
        self._parts = iter((body,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


def request_at(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    address: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> httpx.Request:
    """A request that goes to this IP address, whatever the name of the host resolves to then."""
    origin, parts = origin_of(url), urlsplit(url)
    at = httpx.URL(
        scheme=origin.scheme,
        host=address,
        port=origin.port,
        raw_path=f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}".encode(),
    )
    request = http.build_request(
        method,
        at,
        headers={"Host": _host_header(origin), **headers},
        content=content,
        extensions={"sni_hostname": origin.host},
    )
    request.stream = RequestBody(content or b"")
    return request


def _host_header(origin: WebOrigin) -> str:
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

    No proxy is used, since it would resolve the names; no connection is reused, since the next file
    may be another host's at the same address. ``tls``: the trusted certificates; None: httpx's own,
    which take a while to read.
    """
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0)
    timeout = httpx.Timeout(rules.timeout_seconds)
    async with httpx.AsyncClient(
        trust_env=False, limits=limits, timeout=timeout, verify=tls or True
    ) as http:
        yield Downloader(http, rules, resolve=resolve)
