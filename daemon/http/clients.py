"""Whose request it is: the client's address, behind proxies that are trusted. Pure.

A proxy appends the address that it was called from to ``X-Forwarded-For``. Only what a trusted
proxy has appended counts, so the list is read from its end: the first hop that is no trusted proxy
is the client. What is left of it is the client's own word.
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

SUBSCRIBER_BITS = 64
"""Of an IPv6 address: one client has all addresses below (RFC 6177)."""


def read_networks(texts: Iterable[str]) -> Networks:
    """Read addresses and networks (``10.0.0.7``, ``10.0.0.0/8``, ``fd00::/8``).

    Raises ValueError if one is neither, or is a network with bits behind its mask.
    """
    return tuple(ip_network(text) for text in texts)


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Networks) -> str:
    """The address of the client: `peer`, or what its ``X-Forwarded-For`` says if it is trusted.

    An entry that is no address ends the search: the client then counts as the hop before it, the
    nearest one that is known. If all hops are trusted, it is the farthest of them.
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
    """Read an address as proxies write them: with a port or without, IPv6 in brackets or bare.

    An IPv4 address in IPv6's clothes (``::ffff:192.0.2.1``) comes out as itself. None if it is no
    address.
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
def neighbourhood(address: str) -> str:
    """What is counted as one client: an IPv4 address, or the network of an IPv6 one."""
    known = read_address(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((int(known) >> SUBSCRIBER_BITS << SUBSCRIBER_BITS, SUBSCRIBER_BITS)))
    return str(known) if known else address


# What the apps of the edge know of the connection that a request came by.


VISIT = "recado.visit"
"""The key of a scope under which the server puts the `Visit`."""


class Visit:
    """One connection, as the apps see it. Made by the connection, used in its tasks alone."""

    __slots__ = ("_left", "_on_proof", "_proxies", "is_proven", "peer", "through_proxy")

    def __init__(self, peer: str, proxies: Networks, on_proof: Callable[[], None]) -> None:
        """``peer``: the other end's address. ``on_proof`` is told of the first right secret."""
        address = read_address(peer)
        self.peer = str(address or peer)
        self.through_proxy = address is not None and is_within(address, proxies)
        """True if the other end is a trusted proxy, which says for whom it asks."""
        self.is_proven = False
        """True once a request here carried a valid secret or cookie."""
        self._proxies = proxies
        self._on_proof = on_proof
        self._left = trio.Event()

    def address(self, scope: Mapping[str, Any]) -> str:
        """The client's address, of a request of this connection."""
        if not self.through_proxy:
            return self.peer
        return client_address(self.peer, scope["headers"], self._proxies)

    def prove(self) -> None:
        """Note that a request here carried a valid secret or cookie."""
        if not self.is_proven:
            self.is_proven = True
            self._on_proof()

    async def hold_up(self, seconds: float) -> None:
        """Let the client wait, but not when the server stops or has closed the connection."""
        with trio.move_on_after(seconds):
            await self._left.wait()

    def leave(self) -> None:
        """Hold nothing up any more; called by the connection."""
        self._left.set()


def visit_of(scope: Mapping[str, Any]) -> Visit:
    """The connection that a request came by; a new one if no server of ours has put it there."""
    visit: Visit | None = scope.get(VISIT)
    if visit is None:
        visit = Visit((scope.get("client") or ("",))[0], (), lambda: None)
    return visit


# -- room for connections -------------------------------------------------------------------------
#
# A stranger is a connection that never carried a valid secret or cookie. When the server is full
# the oldest stranger is closed, and a new connection is always accepted: a webhook never waits
# for strangers to leave.


class Guest(Protocol):
    """A connection, as far as room is concerned."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def is_exempt(self) -> bool:
        """True if it stands for many clients, which are not counted together."""

    @property
    def idle_since(self) -> float | None:
        """When its last request ended; None while one is under way."""

    def abort(self) -> None:
        """Close at once."""


class Crowd:
    """All connections of one server. Used in its tasks alone."""

    def __init__(self, *, most: int, strangers_per_address: int, log: EdgeLog) -> None:
        self._most = most
        self._most_of_one = strangers_per_address
        self._log = log
        self._strangers: dict[Guest, None] = {}
        """Oldest first."""
        self._by_address: dict[str, dict[Guest, None]] = {}
        """The strangers of each address, oldest first; those that are exempt are in none."""
        self._known: dict[Guest, None] = {}
        self._change: trio.Event | None = None
        """Somebody waits for this because all connections have a request of a known client."""

    async def room(self) -> None:
        """Wait until a connection can be let in."""
        while self._is_full and not self._strangers and self._oldest_idle() is None:
            self._change = self._change or trio.Event()
            await self._change.wait()

    def enter(self, guest: Guest) -> None:
        """Let a connection in as a stranger, and somebody out for it if that must be."""
        name = neighbourhood(guest.address)
        neighbours = self._by_address.get(name, {})
        if len(neighbours) >= self._most_of_one:
            self._put_out(next(iter(neighbours)), "address")
        if self._is_full:
            oldest = next(iter(self._strangers), None) or self._oldest_idle()
            if oldest is not None:
                self._put_out(oldest, "server")
        self._strangers[guest] = None
        if not guest.is_exempt:
            self._by_address.setdefault(name, {})[guest] = None

    def proved(self, guest: Guest) -> None:
        """Note that a connection has carried a valid secret or cookie."""
        if guest in self._strangers:
            self._forget(guest)
            self._known[guest] = None

    def fell_idle(self) -> None:
        """Note that a request has ended."""
        if self._change is not None:
            self._change.set()
            self._change = None

    def leave(self, guest: Guest) -> None:
        """Note that a connection is over."""
        self._forget(guest)
        self.fell_idle()

    @property
    def _is_full(self) -> bool:
        return len(self._strangers) + len(self._known) >= self._most

    def _oldest_idle(self) -> Guest | None:
        """The known connection that has been idle longest."""
        idle = ((guest.idle_since, guest) for guest in self._known)
        since = [(at, guest) for at, guest in idle if at is not None]
        return min(since, key=lambda pair: pair[0])[1] if since else None

    def _put_out(self, guest: Guest, full: str) -> None:
        self._forget(guest)
        guest.abort()
        self._log.event(CROWDED, full=full, address=guest.address)

    def _forget(self, guest: Guest) -> None:
        self._strangers.pop(guest, None)
        self._known.pop(guest, None)
        name = neighbourhood(guest.address)
        neighbours = self._by_address.get(name, {})
        neighbours.pop(guest, None)
        if not neighbours:
            self._by_address.pop(name, None)
