"""Which addresses files may be fetched from: whole ones of the public internet, and the gateway's.

Pure. A link comes with a message, so it is written by a stranger: without this, anybody who can
send a message could make the daemon call the machines of its own network.
"""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from daemon.errors import MediaRefused

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
"""Networks that are not the public internet, whatever this Python's own list says of them."""


class Origin(NamedTuple):
    """One server: scheme, host in lower case, port."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The server of an address. Raises MediaRefused if it is no plain http or https address."""
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
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])


def check_origin(origin: Origin, *, hosts: Sequence[str]) -> None:
    """Refuse a server that files may not come from, before its name is resolved.

    ``hosts``: the only ones, with their subdomains; none: any. Raises MediaRefused.
    """
    if origin.scheme != "https":
        raise MediaRefused("the link is no https address")
    allowed = [host.lower().removeprefix("*.") for host in hosts]
    if allowed and not any(origin.host == h or origin.host.endswith(f".{h}") for h in allowed):
        raise MediaRefused("the link's host is not among media.hosts")


def is_public(address: str) -> bool:
    """True for an IP address that any machine of the internet may have.

    False for loopback, private, link-local, shared, reserved and multicast ones, for IPv6 addresses
    that lead to such IPv4 ones, and for what is no address at all.
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
