"""Answers as llhttp reads them beside h11, which the model's and the gateway's libraries use.

Each answer comes cut anywhere, and may end too early. What both take is the same; what h11 takes of
answers that follow the grammar is taken; and a connection is kept only where h11 would keep it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import h11
import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.system.llhttp_connection import MOST_HEAD_BYTES, LlhttpConnection

URL = httpx.URL("http://127.0.0.1:9/v1/responses")


class Parts(trio.abc.Stream):
    """A stream that gives these bytes in these parts, then its end; what is sent is dropped."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = [part for part in parts if part]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return self._parts.pop(0) if self._parts else b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass(frozen=True)
class Read:
    """What became of an answer."""

    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    may_go_on: bool = False
    """Whether another request may follow on the connection."""


def by_llhttp(parts: Sequence[bytes]) -> Read | None:
    """Read an answer with ours; None if it is refused."""

    async def read() -> Read | None:
        connection = LlhttpConnection(URL, None, unheard_seconds=5)
        connection._stream = Parts(parts)
        try:
            answer = await connection.request(httpx.Request("POST", URL, content=b"{}"))
            body = b"".join([part async for part in answer.aiter_raw()])
        except httpx.RemoteProtocolError:
            return None
        headers = tuple((name.lower(), value) for name, value in answer.headers.raw)
        return Read(answer.status_code, headers, body, connection.is_available())

    return trio.run(read)


def by_h11(parts: Sequence[bytes]) -> Read | None:
    """Read an answer with h11; None if it is refused."""
    known = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * MOST_HEAD_BYTES)
    length = ("Content-Length", "2")
    known.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), length]))
    known.send(h11.Data(data=b"{}"))
    known.send(h11.EndOfMessage())
    left, head, body = [*filter(None, parts), b""], None, b""
    while True:
        try:
            event = known.next_event()
        except h11.RemoteProtocolError:
            return None
        if event is h11.NEED_DATA:
            known.receive_data(left.pop(0))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            goes_on = known.their_state is h11.DONE and not known.trailing_data[0]
            return Read(head.status_code, tuple(head.headers), body, goes_on)
        elif not isinstance(event, h11.InformationalResponse):
            return None


TOKENS = st.text("abcXYZ019-_.!#", min_size=1, max_size=8).map(str.encode)
VALUES = st.text('abc ,;="\t019é', max_size=12).map(
    lambda text: text.strip(" \t").encode("latin-1")
)
BODIES = st.binary(max_size=200)
NOT_FRAMING = {b"connection", b"upgrade", b"content-length", b"transfer-encoding"}


@st.composite
def heads(draw: st.DrawFn, status: int, *more: bytes) -> bytes:
    """The head of an answer."""
    version = b"HTTP/1.1"
    reason = draw(st.sampled_from([b" OK", b" ", b" Two Words", b" \xe9"]))
    others = draw(st.lists(st.tuples(TOKENS, VALUES), max_size=3))
    lines = [
        b"%b:%b%b" % (name, draw(st.sampled_from([b"", b" ", b"\t"])), value)
        for name, value in others
        if name.lower() not in NOT_FRAMING
    ]
    lines += more
    return b"\r\n".join(
        [b"%b %d%b" % (version, status, reason), *draw(st.permutations(lines)), b"", b""]
    )


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer that follows the grammar, with what may come before it."""
    before = b"".join(
        draw(heads(status))
        for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    )
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500, 503]))
    connection = draw(st.sampled_from([(), (b"Connection: close",), (b"Connection: keep-alive",)]))
    if status in {204, 304}:
        return before + draw(heads(status, *connection))
    body = draw(BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    if framing == "length":
        return before + draw(heads(status, b"Content-Length: %d" % len(body), *connection)) + body
    if framing == "end":
        return before + draw(heads(status, *connection)) + body
    return (
        before
        + draw(heads(status, b"Transfer-Encoding: chunked", *connection))
        + draw(chunked(body))
    )


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks, with extensions and trailers."""
    written, at = b"", 0
    while at < len(body):
        size = draw(st.integers(1, len(body) - at))
        digits = draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % size
        extension = draw(st.sampled_from([b"", b";a=b", b";a"]))
        written += digits + extension + b"\r\n" + body[at : at + size] + b"\r\n"
        at += size
    trailers = draw(st.sampled_from([b"", b"Digest: x\r\n", b"A: b\r\nC: d\r\n"]))
    return written + b"0\r\n" + trailers + b"\r\n"


@st.composite
def cut(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """Bytes in parts."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_answers_of_the_grammar_are_read_as_h11_reads_them(data: st.DataObject) -> None:
    whole = data.draw(answers())
    parts = data.draw(cut(whole))
    ours, theirs = by_llhttp(parts), by_h11(parts)
    assert theirs is not None
    assert ours is not None
    assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)
    assert ours.may_go_on <= theirs.may_go_on


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_answers_that_end_too_early_are_refused_as_h11_refuses_them(data: st.DataObject) -> None:
    whole = data.draw(answers())
    parts = data.draw(cut(whole[: data.draw(st.integers(0, len(whole)))]))
    ours, theirs = by_llhttp(parts), by_h11(parts)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert ours.body == theirs.body


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_garbled_answers_are_refused_or_read_as_h11_reads_them(data: st.DataObject) -> None:
    whole = bytearray(data.draw(answers()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    parts = data.draw(cut(bytes(whole)))
    ours, theirs = by_llhttp(parts), by_h11(parts)
    if ours is not None and theirs is not None:
        assert (ours.status, ours.body) == (theirs.status, theirs.body)
        assert ours.may_go_on <= theirs.may_go_on


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ODD = [
    OK + b"Content-Length: 3\r\n\r\n{}x",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    OK + b"X y: z\r\n\r\n{}",
    OK + b"X\r\n\r\n{}",
    OK + b"X: a\0b\r\n\r\n{}",
    OK + b"X: a\r\n b\r\n\r\n{}",
    OK + b"Connection: keep-alive, close\r\n\r\n{}",
    OK.replace(b"\r\n", b"\n") + b"\n{}",
    OK.replace(b"2", b"-2") + b"\r\n{}",
    OK.replace(b": 2", b": 99999999999999999999999") + b"\r\n{}",
    OK.replace(b"200", b"20") + b"\r\n{}",
    OK.replace(b"1.1", b"2") + b"\r\n{}",
    CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"\r\n2\r\n{}x\r\n0\r\n\r\n",
    CHUNKED + b"\r\nffffffffffffffffff\r\n{}",
    b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"",
]


@pytest.mark.parametrize("whole", ODD)
@pytest.mark.parametrize("size", [1, 10_000])
def test_odd_answers_are_refused_or_read_as_h11_reads_them(whole: bytes, size: int) -> None:
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert by_llhttp(parts) in {None, by_h11(parts)}


@pytest.mark.parametrize("more", [b"x", b"\0\0", OK + b"\r\n{}"])
def test_what_follows_an_answer_ends_only_the_connection(more: bytes) -> None:
    read = by_llhttp([OK + b"\r\n{}" + more])
    assert read is not None
    assert (read.status, read.body, read.may_go_on) == (200, b"{}", False)
