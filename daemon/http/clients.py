"""The clients of the server: their addresses, whether they are authenticated, and room for them.

A proxy appends the address that it was called from to ``X-Forwarded-For``. Only what a trusted
proxy has appended counts, so the list is read from its end: the first hop that is no trusted proxy
is the client. Entries before it may be forged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Protocol

import trio

from daemon.http.asgi import EdgeLog
from daemon.observability.events import CROWDED

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

MOST_HOPS = 32
"""Entries of ``X-Forwarded-For`` that are read; no chain of proxies is so long."""

CLIENT_BITS = 64
"""Prefix of an IPv6 address: one client has all addresses below it (RFC 6177)."""

CLIENT = "recado.client"
"""The key of a scope under which the server puts the `Client`."""


# -- addresses -----------------------------------------------------------------------------------


def read_networks(texts: Iterable[str]) -> Networks:
    """Parse addresses and networks (``10.0.0.7``, ``10.0.0.0/8``, ``fd00::/8``).

    Raises ValueError if one is neither, or is a network with bits behind its mask.
    """
    return tuple(ip_network(text) for text in texts)


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Networks) -> str:
    """The address of the client: `peer`, or what ``X-Forwarded-For`` says if `peer` is trusted.

    An entry that is no address ends the search: the client is then the hop before it. If all hops
    are trusted, it is the farthest of them.
    """
    nearest = read_address(peer)
    if nearest is None or not is_within(nearest, proxies):
        return peer
    for hop in reversed(_hops(headers)[-MOST_HOPS:]):
        address = read_address(hop)
        if address is None:
            break
        nearest = address
        if not is_within(address, proxies):
            break
    return str(nearest)


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The entries in all lines of the header, in their order (RFC 9110, section 5.3)."""
    values = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
    return b",".join(values).decode("latin-1").split(",") if values else []


def read_address(text: str) -> Address | None:
    """Parse an address as proxies write it: with or without a port, IPv6 in brackets or bare.

    A mapped IPv4 address (``::ffff:192.0.2.1``) becomes IPv4. None if it is no address.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_within(address: Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is in one of some networks."""
    return any(address in network for network in networks)


@lru_cache(1024)
def client_network(address: str) -> str:
    """The unit that counts as one client: an IPv4 address, or the network of an IPv6 address."""
    known = read_address(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((int(known) >> CLIENT_BITS << CLIENT_BITS, CLIENT_BITS)))
    return str(known) if known else address


# -- the client of a connection ------------------------------------------------------------------


class Client:
    """The client of one connection, as apps see it. Used in the tasks of the connection alone."""

    __slots__ = ("_left", "_on_authenticated", "_proxies", "authenticated", "peer", "through_proxy")

    def __init__(self, peer: str, proxies: Networks, on_authenticated: Callable[[], None]) -> None:
        """``peer``: the other end's address. ``on_authenticated``: called once."""
        address = read_address(peer)
        self.peer = str(address or peer)
        self.through_proxy = address is not None and is_within(address, proxies)
        """True if the other end is a trusted proxy."""
        self.authenticated = False
        """True once a request of the connection carried a valid secret or cookie."""
        self._proxies = proxies
        self._on_authenticated = on_authenticated
        self._left = trio.Event()

    def address(self, scope: Mapping[str, Any]) -> str:
        """The client's address in a request of this connection."""
        if not self.through_proxy:
            return self.peer
        return client_address(self.peer, scope["headers"], self._proxies)

    def authenticate(self) -> None:
        """Note that a request carried a valid secret or cookie."""
        if not self.authenticated:
            self.authenticated = True
            self._on_authenticated()

    async def delay(self, seconds: float) -> None:
        """Wait so long, or until the server stops or has closed the connection."""
        with trio.move_on_after(seconds):
            await self._left.wait()

    def leave(self) -> None:
        """End all delays; called by the connection."""
        self._left.set()


def client_of(scope: Mapping[str, Any]) -> Client:
    """The client of a request; a new one if the scope is not from our server."""
    client: Client | None = scope.get(CLIENT)
    if client is None:
        client = Client((scope.get("client") or ("",))[0], (), lambda: None)
    return client


# -- room for connections ------------------------------------------------------------------------


class LimitedConnection(Protocol):
    """The part of a connection that `ConnectionLimit` uses."""

    @property
    def address(self) -> str:
        """The address of the other end."""

    @property
    def is_exempt(self) -> bool:
        """True if it is no single client: a proxy, whose connections are not counted together."""

    @property
    def idle_since(self) -> float | None:
        """When its last request ended; None during a request."""

    def abort(self) -> None:
        """Close at once."""


class ConnectionLimit:
    """Limits the connections of one server. Used in its tasks alone.

    When the server is full the oldest unauthenticated connection is closed, then the one that has
    been idle longest. A new connection is accepted before it is authenticated, so a webhook never
    waits for other clients to leave.
    """

    def __init__(self, *, most: int, unauthenticated_per_address: int, log: EdgeLog) -> None:
        self._most = most
        self._most_per_address = unauthenticated_per_address
        self._log = log
        self._unauthenticated: dict[LimitedConnection, None] = {}
        """Oldest first."""
        self._by_address: dict[str, dict[LimitedConnection, None]] = {}
        """The unauthenticated ones of each client, oldest first, without those that are exempt."""
        self._authenticated: dict[LimitedConnection, None] = {}
        self._changed: trio.Event | None = None
        """Set when a request ends, for a caller of `wait_for_room`."""

    async def wait_for_room(self) -> None:
        """Wait while every connection is authenticated and in a request."""
        while self._is_full and not self._unauthenticated and self._oldest_idle() is None:
            self._changed = self._changed or trio.Event()
            await self._changed.wait()

    def add(self, connection: LimitedConnection) -> None:
        """Count a new connection, and close another one for it if there is no room."""
        name = client_network(connection.address)
        others = self._by_address.get(name, {})
        if len(others) >= self._most_per_address:
            self._close(next(iter(others)), "address")
        if self._is_full:
            oldest = next(iter(self._unauthenticated), None) or self._oldest_idle()
            if oldest is not None:
                self._close(oldest, "server")
        self._unauthenticated[connection] = None
        if not connection.is_exempt:
            self._by_address.setdefault(name, {})[connection] = None

    def authenticated(self, connection: LimitedConnection) -> None:
        """Note that a connection has carried a valid secret or cookie."""
        if connection in self._unauthenticated:
            self._forget(connection)
            self._authenticated[connection] = None

    @property
    def is_awaited(self) -> bool:
        """Whether a caller of `wait_for_room` waits. For any thread."""
        return self._changed is not None

    def became_idle(self) -> None:
        """Note that a request has ended."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def remove(self, connection: LimitedConnection) -> None:
        """Note that a connection is closed."""
        self._forget(connection)
        self.became_idle()

    @property
    def _is_full(self) -> bool:
        return len(self._unauthenticated) + len(self._authenticated) >= self._most

    def _oldest_idle(self) -> LimitedConnection | None:
        """The authenticated connection that has been idle longest."""
        idle = ((connection.idle_since, connection) for connection in self._authenticated)
        since = [(at, connection) for at, connection in idle if at is not None]
        return min(since, key=lambda pair: pair[0])[1] if since else None

    def _close(self, connection: LimitedConnection, full: str) -> None:
        self._forget(connection)
        connection.abort()
        self._log.event(CROWDED, full=full, address=connection.address)

    def _forget(self, connection: LimitedConnection) -> None:
        self._unauthenticated.pop(connection, None)
        self._authenticated.pop(connection, None)
        name = client_network(connection.address)
        others = self._by_address.get(name, {})
        others.pop(connection, None)
        if not others:
            self._by_address.pop(name, None)
