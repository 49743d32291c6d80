"""Which requests are answered at once, and that both ways through the server agree."""

import h11
import httptools
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from support.edge import MemoryDaemon, Start, read_all, read_until

from daemon.http.edge import is_hot_path
from daemon.http.whole_request import WHOLE, whole_request

POST = b"POST /hook/messages?x=%31 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_whole_request_is_read_as_asgi_has_it() -> None:
    request = whole_request(POST, is_hot_path)
    assert request is not None
    assert request.scope["method"] == "POST"
    assert request.scope["path"] == "/hook/messages"
    assert request.scope["query_string"] == b"x=%31"
    assert request.scope["headers"] == [(b"host", b"x"), (b"content-length", b"2")]
    assert WHOLE in request.scope["extensions"]
    assert await request.receive() == {
        "type": "http.request",
        "body": b"{}",
        "more_body": False,
    }


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(POST[:20], id="a part of a head"),
        pytest.param(POST[:-1], id="a part of a body"),
        pytest.param(POST + b"P", id="the start of another"),
        pytest.param(POST + POST, id="two"),
        pytest.param(POST.replace(b"/hook/", b"/locks/"), id="a page"),
        pytest.param(POST.replace(b"/hook/", b"http://x/hook/"), id="an absolute URL"),
        pytest.param(POST.replace(b"1.1\r\n", b"1.0\r\n"), id="HTTP/1.0"),
        pytest.param(POST.replace(b"POST", b"HEAD"), id="HEAD"),
        pytest.param(POST.replace(b"Host: x\r\n", b""), id="no host"),
        pytest.param(POST.replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"), id="two hosts"),
        pytest.param(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), id="expect"),
        pytest.param(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="close"),
        pytest.param(POST.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\n\r\n"), id="upgrade"),
        pytest.param(POST.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"), id="two lengths"),
        pytest.param(
            POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(
                b"{}", b"2\r\n{}\r\n0\r\n\r\n"
            ),
            id="chunks",
        ),
        pytest.param(
            POST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), id="both framings"
        ),
        pytest.param(POST.replace(b"Host: x", b"Host : x"), id="a space before the colon"),
        pytest.param(POST.replace(b"Host: x", b"Host: x\r\n folded"), id="a folded line"),
        pytest.param(POST.replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS"),
    ],
)
def test_unusual_requests_take_the_general_path(data: bytes) -> None:
    assert whole_request(data, is_hot_path) is None


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    whole_request(data, is_hot_path)
    whole_request(b"POST /hook HTTP/1.1\r\nhost: x\r\n" + data, is_hot_path)


@given(
    st.sampled_from(["POST", "GET", "PUT", "PATCH", "DELETE"]),
    st.text("abcz09-._~/%41", max_size=20),
    st.lists(st.tuples(st.text("abcz-", min_size=1), st.text("abc \t~é", max_size=9)), max_size=5),
    st.binary(max_size=50),
)
def test_it_reads_a_request_as_h11_does(
    method: str, tail: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Or not at all: two readings of one request are how requests are smuggled."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{method} /hook/{tail} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    data = f"{head}{lines}\r\n".encode("latin-1") + body
    request = whole_request(data, is_hot_path)
    if request is None:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(data)
    read = other.next_event()
    assert isinstance(read, h11.Request)
    assert request.scope["method"].encode() == read.method
    assert request.scope["raw_path"] == read.target.partition(b"?")[0]
    assert [(n, v.strip()) for n, v in request.scope["headers"]] == list(read.headers)
    got = b""
    while isinstance(event := other.next_event(), h11.Data):
        got += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert got == request.body


async def test_both_ways_may_take_turns_on_one_connection(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    """Whole ones, one in two parts, two at once, a page, a whole one again."""
    head, body = POST[:-2], POST[-2:]
    page = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    with trio.fail_after(30):
        served = await start_edge()
        async with await served.connect() as stream:
            await stream.send_all(POST)
            await read_until(stream, b"}")
            await stream.send_all(head)
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(body)
            await read_until(stream, b"}")
            await stream.send_all(POST + page)
            await read_until(stream, b"}\n")  # as Quart ends its JSON
            await stream.send_all(POST)
            await read_until(stream, b"}")
            await stream.send_all(POST.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            answer = await read_all(stream)
    assert b"connection: close" in answer.lower()
    assert daemon.stored == [(b"{}", "messages.post")] * 5


def test_the_parser_is_strict() -> None:
    """Against a later version that would begin to be lenient."""
    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(object()).feed_data(
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
        )
