"""Which address a request counts as, behind proxies and without."""

import pytest

from daemon.http.clients import MOST_HOPS, client_address, client_network, read_networks

PROXIES = read_networks(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


def seen(peer: str, *values: str) -> str:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode()) for value in values)]
    return client_address(peer, headers, PROXIES)


@pytest.mark.parametrize(
    ("peer", "values", "expected"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
        ("127.0.0.1", ["1.1.1.1", "198.51.100.1", "10.2.3.4"], "198.51.100.1"),
        ("127.0.0.1", ["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("127.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("127.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", ["  198.51.100.1\t"], "198.51.100.1"),
        # What is no address ends the search at the hop that is known.
        ("127.0.0.1", ["198.51.100.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1, garbage, 10.2.3.4"], "10.2.3.4"),
        ("127.0.0.1", ["198.51.100.1,"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["1.2.3"], "127.0.0.1"),
        ("127.0.0.1", ["01.2.3.4"], "127.0.0.1"),
        ("127.0.0.1", ["\u00e9"], "127.0.0.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_trusted_proxy(
    peer: str, values: list[str], expected: str
) -> None:
    assert seen(peer, *values) == expected


def test_a_chain_without_end_is_not_followed() -> None:
    assert seen("127.0.0.1", ", ".join(["198.51.100.1", *["10.0.0.1"] * MOST_HOPS])) == "10.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.5/8", "proxy.example", "", "10.0.0.0/33"])
def test_invalid_networks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host bits|appear|IPv4"):
        read_networks([text])


def test_one_subscriber_has_a_whole_network_of_ipv6() -> None:
    assert client_network("2001:db8:1:2:3::4") == client_network("2001:db8:1:2:9::9")
    assert client_network("2001:db8:1:2::1") != client_network("2001:db8:1:3::1")
    assert client_network("198.51.100.1") == "198.51.100.1"
    assert client_network("") == ""
