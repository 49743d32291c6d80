"""Connections to Whapi: how answers may look, what is used again, and the way by a proxy."""

import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
import trio

from daemon.errors import SettingsError
from daemon.whapi.connections import IDLE_SECONDS, Connections
from daemon.whapi.exchange import Api, Request, Response
from daemon.whapi.http_answer import MOST_HEAD_BYTES, HttpAnswer, UnusableAnswer
from daemon.whapi.route import route_to

TOKEN = "invented-token-1234567890"
REQUEST = Request(operation="health", method="GET", path="/health", query={"wakeup": "false"})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Bytes:
    """A server that answers each request on a connection with the next of its bytes."""

    answers: list[bytes]
    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; end it after an empty answer."""
        self.connections += 1
        async with stream:
            while head := bytes(await stream.receive_some()):
                self.heads.append(head)
                answer = self.answers.pop(0)
                await stream.send_all(answer)
                if not answer.startswith(b"HTTP/1.1") or b"close" in answer:
                    return


@asynccontextmanager
async def served(*answers: bytes) -> AsyncIterator[Bytes]:
    """Serve these bytes; ends with the block."""
    server = Bytes(list(answers))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            server.port = listener.socket.getsockname()[1]
            yield server
            nursery.cancel_scope.cancel()


async def asked(*answers: bytes) -> tuple[Bytes, list[Response]]:
    """Make a request for each answer, one after the other."""
    async with served(*answers) as server:
        connections = Connections(
            route_to(httpx.URL(f"http://127.0.0.1:{server.port}/v1/"), None), most=2
        )
        ask = Api(connections, TOKEN).exchange
        responses = [await ask(REQUEST, seconds=5) for _ in answers]
        await connections.aclose()
    return server, responses


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
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsomething",  # more than was asked for
        OK + b"nonsense",
    ],
)
async def test_a_connection_that_cannot_go_on_is_not_used_again(answer: bytes) -> None:
    server, responses = await asked(answer, OK)
    assert [(x.status, x.body, x.failure) for x in responses] == [(200, b"{}", "")] * 2
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
        % (len(gzip.compress(b"{}")), gzip.compress(b"{}")),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%s"
        % (len(zlib.compress(b"{}")), zlib.compress(b"{}")),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_an_answer_is_read_however_it_is_written_and_cut(answer: bytes, step: int) -> None:
    reader = HttpAnswer(most_body_bytes=1000)
    for start in range(0, len(answer), step):
        assert not reader.complete
        reader.feed(answer[start : start + step])
    assert reader.complete
    assert reader.reusable
    assert (reader.status, reader.body()) == (200, b"{}")
    reader.release()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 101 Upgrade\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "not an HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "ended before"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MOST_HEAD_BYTES, "head is too large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, "answer is too large"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "unknown way"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "unpacked"),
        (
            b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 2000),
            "too l",
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")[:-9], "unpack"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_so(answer: bytes, words: str) -> None:
    with pytest.raises(UnusableAnswer, match=words):
        read_whole(answer)


def read_whole(answer: bytes) -> bytes:
    """Read an answer, after which the connection ends."""
    reader = HttpAnswer(most_body_bytes=1000)
    reader.feed(answer)
    if not reader.complete:
        reader.feed(b"")
    return reader.body()


async def test_a_connection_that_the_other_side_has_ended_is_not_used_again() -> None:
    """A request on it would have an unknown outcome, for no reason."""
    async with served(OK, OK) as server:
        connections = Connections(
            route_to(httpx.URL(f"http://127.0.0.1:{server.port}"), None), most=2
        )
        one = await connections.take()
        await connections.give_back(one, reusable=True)
        with one.socket.socket.dup() as other_name:
            other_name.shutdown(trio.socket.SHUT_WR)  # the server sees the end, and ends too
            await trio.lowlevel.wait_readable(other_name.fileno())
        two = await connections.take()
        assert two.socket is not one.socket
        await connections.give_back(two, reusable=False)


async def test_connections_grow_old_and_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(OK) as server:
        connections = Connections(
            route_to(httpx.URL(f"http://127.0.0.1:{server.port}"), None), most=2
        )
        one, two = await connections.take(), await connections.take()
        await connections.give_back(one, reusable=True)
        later = trio.current_time() + IDLE_SECONDS + 1
        monkeypatch.setattr(trio, "current_time", lambda: later)
        await connections.give_back(two, reusable=True)
        assert one.socket.socket.fileno() == -1  # closed, although the other is the one in use
        assert two.socket.socket.fileno() != -1
        await connections.aclose()
        assert two.socket.socket.fileno() == -1


async def test_a_cancelled_request_closes_its_connection_and_leaves_its_place() -> None:
    async with served(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", OK) as server:
        connections = Connections(
            route_to(httpx.URL(f"http://127.0.0.1:{server.port}"), None), most=1
        )
        ask = Api(connections, TOKEN).exchange
        first = await ask(REQUEST, seconds=0.1)
        assert (first.failure, first.began, first.status) == ("no answer in time", True, 200)
        assert (await ask(REQUEST, seconds=5)).body == b"{}"
        await connections.aclose()
    assert server.connections == 2


async def test_a_proxy_is_told_the_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(OK) as server:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{server.port}")
        connections = Connections(route_to(httpx.URL("http://whapi.invalid/v1"), None), most=2)
        response = await Api(connections, TOKEN).exchange(REQUEST, seconds=5)
        await connections.aclose()
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
        connections = Connections(route_to(httpx.URL("https://whapi.invalid"), None), most=2)
        response = await Api(connections, TOKEN).exchange(REQUEST, seconds=5)
    assert (response.failure, response.began) == ("the proxy gives no way", False)
    assert server.heads == [
        b"CONNECT whapi.invalid:443 HTTP/1.1\r\nHost: whapi.invalid:443\r\n\r\n"
    ]


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
    route = route_to(httpx.URL(address), None)
    assert (route.proxy.host if route.proxy else None) == host


def test_an_unknown_kind_of_proxy_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://user:secret@p.invalid:1080")
    with pytest.raises(SettingsError, match="proxy") as caught:
        route_to(httpx.URL("http://whapi.invalid"), None)
    assert "secret" not in str(caught.value)
