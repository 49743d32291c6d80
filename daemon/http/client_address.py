"""Whose request it is: the client's address, behind proxies that are trusted. Pure.

A proxy appends the address that it was called from to ``X-Forwarded-For``. Only what a trusted
proxy has appended counts, so the list is read from its end: the first hop that is no trusted proxy
is the client. What is left of it is the client's own word.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

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
