"""Connections to Whapi: what is used again, how answers may look, and the way by a proxy."""

import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.lowlevel
from support.byte_server import Bytes, served
from support.plain import NO_TLS
from trio.testing import MockClock

from daemon.errors import SettingsError
from daemon.gateway.exchange import Api, Reply
from daemon.gateway.payloads.fields import ApiCall
from daemon.system.connections import Connections, proxy_for
from daemon.system.llhttp_connection import IDLE_SECONDS

TOKEN = "invented-token-1234567890"
CALL = ApiCall("health", "GET", "/health", query={"wakeup": "false"})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def connected(url: str, *, most: int = 2) -> AsyncIterator[Connections]:
    """Give connections to an address; those that wait are closed with the block."""
    connections = Connections(httpx.URL(url), None, most=most)
    try:
        yield connections
    finally:
        await connections.aclose()


async def asked(*answers: bytes) -> tuple[Bytes, list[Reply]]:
    """Make a request for each answer, one after the other."""
    async with (
        served(*answers) as server,
        connected(f"http://127.0.0.1:{server.port}/v1/") as connections,
    ):
        ask = Api(connections, TOKEN).exchange
        return server, [await ask(CALL, seconds=30) for _ in answers]


async def test_one_connection_serves_request_after_request() -> None:
    server, responses = await asked(OK, OK, OK)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 3
    assert server.connections == 1
    first, *headers = server.heads[0].decode().split("\r\n")
    assert first == "GET /v1/health?wakeup=false HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in headers
    assert f"Authorization: Bearer {TOKEN}" in headers


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",  # lasts until the connection's end
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_connection_that_cannot_go_on_is_not_used_again(answer: bytes) -> None:
    server, responses = await asked(answer, OK)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
    assert server.connections == 2


def packed(coding: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        coding,
        len(body),
        body,
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        packed(b"gzip", gzip.compress(b"{}", mtime=0)),
        packed(b"Deflate", zlib.compress(b"{}")),
    ],
)
async def test_an_answer_is_read_however_it_is_written(answer: bytes) -> None:
    server, responses = await asked(answer, OK)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no whole HTTP answer"),
        (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "no whole HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n{}", "no whole HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, "answer is too large"),
        (packed(b"br", b"x"), "unknown way"),
        (packed(b"gzip", b"x"), "cannot be unpacked"),
        (packed(b"gzip", gzip.compress(b"x" * 2000, mtime=0)), "too large"),
        (packed(b"gzip", gzip.compress(b"x", mtime=0)[:-9]), "cannot be unpacked"),
    ],
)
async def test_an_unusable_answer_is_reported(
    answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes next is not disturbed by it."""
    monkeypatch.setattr("daemon.gateway.exchange._MOST_ANSWER_BYTES", 1000)
    _, (bad, good) = await asked(answer, OK)
    assert words in bad.failure
    assert (bad.began, bad.body) == (True, b"")
    assert (good.failure, good.body) == ("", b"{}")


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    server, responses = await asked(OK + OK, OK)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
    assert server.connections == 2


async def test_a_head_without_an_end_is_given_up() -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"x-more: 1\r\n" * 100_000
    _, (bad, good) = await asked(endless, OK)
    assert (bad.began, bad.failure) == (True, "no whole HTTP answer")
    assert good.body == b"{}"


@pytest.mark.parametrize("content_type", ["text/plain\r\nx: y", "text/plain\0"])
async def test_a_header_that_would_end_its_line_is_not_sent(content_type: str) -> None:
    call = ApiCall("media", "POST", "/media", body=b"x", content_type=content_type)
    async with (
        served(OK) as server,
        connected(f"http://127.0.0.1:{server.port}/v1/") as connections,
    ):
        ask = Api(connections, TOKEN).exchange
        refused = await ask(call, seconds=30)
        assert (refused.began, refused.failure) == (False, "no whole HTTP answer")
        assert (await ask(CALL, seconds=30)).body == b"{}"
    assert len(server.heads) == 1


async def test_a_connection_that_the_other_side_has_ended_is_not_used_again() -> None:
    """A request on it would have an unknown outcome, for no reason."""
    ended = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(OK)
        ended.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            async with connected(f"http://127.0.0.1:{port}") as connections:
                ask = Api(connections, TOKEN).exchange
                assert (await ask(CALL, seconds=30)).body == b"{}"
                await ended.wait()
                assert (await ask(CALL, seconds=30)).body == b"{}"
            nursery.cancel_scope.cancel()


async def test_connections_grow_old_and_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that nobody takes, since another one is used last each time."""
    async with (
        served(OK, OK, OK) as server,
        connected(f"http://127.0.0.1:{server.port}") as connections,
    ):
        api = Api(connections, TOKEN)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(partial(api.exchange, CALL, seconds=30))
        old, newest = await connections.take(), await connections.take()
        assert old is not newest
        await connections.give_back(old)
        later = time.monotonic() + IDLE_SECONDS + 1
        monkeypatch.setattr(time, "monotonic", lambda: later)  # httpcore's clock
        await connections.give_back(newest)
        assert old.is_closed()
        assert newest.is_closed()
        assert (await api.exchange(CALL, seconds=30)).body == b"{}"
    assert server.connections == 3


async def test_the_connection_used_last_is_used_first() -> None:
    async with (
        served(OK, OK) as server,
        connected(f"http://127.0.0.1:{server.port}") as connections,
    ):
        api = Api(connections, TOKEN)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(partial(api.exchange, CALL, seconds=30))
        one, two = await connections.take(), await connections.take()
        await connections.give_back(one)
        await connections.give_back(two)
        again = await connections.take()
        assert again is two
        await connections.give_back(again)


async def test_a_cancelled_request_closes_its_connection_and_leaves_its_place(
    jumping_clock: MockClock,
) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
    async with (
        served(half, OK) as server,
        connected(f"http://127.0.0.1:{server.port}", most=1) as connections,
    ):
        ask = Api(connections, TOKEN).exchange
        first = await ask(CALL, seconds=0.1)
        assert jumping_clock.current_time() > 0
        assert (first.failure, first.began, first.status) == ("no answer in time", True, 200)
        assert (await ask(CALL, seconds=30)).body == b"{}"
    assert server.connections == 2


async def test_what_is_not_confirmed_is_given_up_on_by_the_system_too() -> None:
    """Else it would arrive when the network is back, after the request was made again."""
    async with served(OK) as server:
        url = httpx.URL(f"http://127.0.0.1:{server.port}")
        connections = Connections(url, None, most=1, unheard_seconds=2.5)
        await Api(connections, TOKEN).exchange(CALL, seconds=30)
        (kept,) = connections._idle
        link: Any = kept._socket  # type: ignore[attr-defined]
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
        await connections.aclose()


async def test_all_that_wait_are_closed_even_by_a_task_that_is_cancelled() -> None:
    async with served(OK, OK) as server:
        connections = Connections(httpx.URL(f"http://127.0.0.1:{server.port}"), None, most=2)
        api = Api(connections, TOKEN)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(partial(api.exchange, CALL, seconds=30))
        kept = [await connections.take(), await connections.take()]
        for connection in kept:
            await connections.give_back(connection)
        with trio.CancelScope() as scope:
            scope.cancel()
            await connections.aclose()
        assert [connection.is_closed() for connection in kept] == [True, True]


async def test_a_request_that_cannot_connect_leaves_its_place() -> None:
    with trio.socket.socket() as unused, trio.fail_after(60):
        await unused.bind(("127.0.0.1", 0))  # bound, not listening: refuses connections
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with connected(address, most=1) as connections:
            ask = Api(connections, TOKEN).exchange
            for _ in range(2):
                response = await ask(CALL, seconds=30)
                assert (response.failure, response.began) == ("no connection", False)


async def test_a_large_body_arrives_whole_although_the_server_reads_slowly(
    nursery: trio.Nursery,
) -> None:
    body, read = bytes(range(256)) * 16_000 + b"the end", bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            while not read.endswith(b"the end"):
                await trio.lowlevel.checkpoint()
                read.extend(await stream.receive_some(100_000))
            await stream.send_all(OK)

    (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    address = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    call = ApiCall("media", "POST", "/media", body=body, content_type="application/octet-stream")
    with trio.fail_after(60):
        async with connected(address) as connections:
            reply = await Api(connections, TOKEN).exchange(call, seconds=60)
    assert (reply.status, reply.body, reply.failure) == (200, b"{}", "")
    head, _, sent = bytes(read).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert sent == body


async def test_a_place_is_waited_for_as_long_as_the_request_allows() -> None:
    async with (
        served() as server,
        connected(f"http://127.0.0.1:{server.port}", most=1) as connections,
    ):
        taken = await connections.take()
        request = httpx.Request("GET", connections.url, extensions={"timeout": {"pool": 0.05}})
        with pytest.raises(httpx.PoolTimeout):
            await connections.handle_async_request(request)
        await connections.give_back(taken)


async def test_no_more_wait_than_are_wanted() -> None:
    async with served(OK, OK) as server:
        url = httpx.URL(f"http://127.0.0.1:{server.port}")
        connections = Connections(url, None, most=2, most_idle=1)
        api = Api(connections, TOKEN)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(partial(api.exchange, CALL, seconds=30))
        assert server.connections == 2
        assert len(connections._idle) == 1
        await connections.aclose()


async def test_a_proxy_gets_the_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(OK) as server:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{server.port}")
        async with connected("http://whapi.invalid/v1") as connections:
            response = await Api(connections, TOKEN).exchange(CALL, seconds=30)
    assert response.body == b"{}"
    lines = server.heads[0].split(b"\r\n")
    assert lines[0] == b"GET http://whapi.invalid/v1/health?wakeup=false HTTP/1.1"
    assert b"Host: whapi.invalid" in lines
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in lines  # user:p@ss


async def test_a_proxy_that_refuses_a_tunnel_means_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And it sees neither the request nor the token."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with served(refusal) as server:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.port}")
        connections = Connections(httpx.URL("https://whapi.invalid"), NO_TLS, most=1)
        ask = Api(connections, TOKEN).exchange
        response = await ask(CALL, seconds=30)
    assert (response.failure, response.began) == ("the proxy refuses", False)
    (head,) = server.heads
    assert head.startswith(b"CONNECT whapi.invalid:443 HTTP/1.1\r\nHost: whapi.invalid:443\r\n")
    assert TOKEN.encode() not in head


@pytest.mark.parametrize(
    ("environment", "address", "host"),
    [
        ({}, "http://whapi.invalid", None),
        ({"all_proxy": "http://p.invalid:3128"}, "http://whapi.invalid", "p.invalid"),
        ({"https_proxy": "http://p.invalid:3128"}, "http://whapi.invalid", None),
        (
            {"http_proxy": "http://p.invalid:3128", "no_proxy": "whapi.invalid"},
            "http://whapi.invalid",
            None,
        ),
        ({"http_proxy": "http://p.invalid:3128", "no_proxy": "*"}, "http://whapi.invalid", None),
        ({"http_proxy": "http://p.invalid:3128"}, "http://127.0.0.1:9", None),
    ],
)
def test_proxies_of_the_environment_count(
    environment: dict[str, str],
    address: str,
    host: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(httpx.URL(address))
    assert (proxy.host if proxy else None) == host


def test_an_unknown_kind_of_proxy_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://user:secret@p.invalid:1080")
    with pytest.raises(SettingsError, match="proxy") as caught:
        Connections(httpx.URL("http://whapi.invalid"), None, most=1)
    assert "secret" not in str(caught.value)


class CalledOff(Exception):
    """What is about to be sent is not wanted any more."""


@pytest.mark.parametrize("kept", [False, True])
async def test_the_last_check_is_made_on_the_open_connection_before_the_first_byte(
    *, kept: bool
) -> None:
    """On a new connection and on one that was kept; a request that is called off leaves no byte."""
    async with (
        served(OK, OK, OK) as server,
        connected(f"http://127.0.0.1:{server.port}/v1/") as connections,
    ):
        api = Api(connections, TOKEN)
        if kept:
            await api.exchange(CALL, seconds=30)
        known = len(server.heads)

        async def call_off() -> None:
            while not server.connections:
                await trio.lowlevel.checkpoint()
            assert len(server.heads) == known
            raise CalledOff

        with pytest.raises(CalledOff):
            await api.exchange(CALL, seconds=5, before=call_off)
        response = await api.exchange(CALL, seconds=30)
        assert (response.status, len(server.heads), server.connections) == (200, known + 1, 2)


async def test_a_last_word_that_takes_too_long_means_not_sent() -> None:
    async with (
        served(OK) as server,
        connected(f"http://127.0.0.1:{server.port}/v1/") as connections,
    ):
        api = Api(connections, TOKEN)
        response = await api.exchange(CALL, seconds=0.1, before=trio.sleep_forever)
        assert (response.began, response.failure, server.heads) == (False, "no answer in time", [])
