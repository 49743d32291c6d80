"""The connections to the model server: kept, cut, given up, and led elsewhere."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from support.byte_server import Bytes, served

from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.assistant.responses_connection import ModelConnection
from daemon.errors import ModelTemporary

KEY = "sk-test-0123456789abcdef"
EVENTS = (
    b'data: {"type": "response.created", "response": {"id": "resp_1"}}\n\n'
    b'data: {"type": "response.completed", "response": {"id": "resp_1", "output": []}}\n\n'
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def streamed(body: bytes = EVENTS, *more: bytes) -> bytes:
    """An answer with a stream of events, in chunks of seven bytes."""
    head = [b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"]
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"\r\n".join([*head, *more, b"", chunks]) + b"0\r\n\r\n"


@asynccontextmanager
async def connected(base_url: str, *, idle_seconds: float = 20) -> AsyncIterator[ModelConnection]:
    """Give a connection to a model server."""
    connection = ModelConnection(base_url=base_url, api_key=KEY, idle_seconds=idle_seconds)
    try:
        yield connection
    finally:
        await connection.aclose()


@asynccontextmanager
async def asking(*answers: bytes) -> AsyncIterator[tuple[Bytes, ModelConnection]]:
    """Give a server with these answers, and a connection to it."""
    async with (
        served(*answers) as server,
        connected(f"http://127.0.0.1:{server.port}/v1") as connection,
    ):
        yield server, connection


async def outcome(connection: ModelConnection) -> str:
    """Ask for a stream of events and read it; gives the id of the response that ended."""
    reader = ResponseReader()
    await connection.create({"model": "m"}, reader, on_part=lambda: None)
    assert reader.outcome is not None
    return reader.response_id


@pytest.mark.parametrize(
    "answer",
    [
        streamed(),
        b"HTTP/1.1 100 Continue\r\n\r\n" + streamed(),
        streamed(gzip.compress(EVENTS), b"Content-Encoding: gzip"),
    ],
)
async def test_streams_and_calls_share_one_connection(answer: bytes) -> None:
    async with asking(answer, OK, answer) as (server, connection):
        assert await outcome(connection) == "resp_1"
        assert await connection.call("GET", "/models", query={"a": "b"}) == {}
        assert await outcome(connection) == "resp_1"
    assert server.connections == 1
    first, second, _ = [head.split(b"\r\n") for head in server.heads]
    assert first[0] == b"POST /v1/responses HTTP/1.1"
    assert second[0] == b"GET /v1/models?a=b HTTP/1.1"
    lines = {line.lower() for line in first}
    assert b"host: 127.0.0.1:%d" % server.port in lines
    assert f"authorization: bearer {KEY}".encode() in lines


async def test_a_connection_that_the_server_has_ended_is_not_used_again() -> None:
    closing = streamed(EVENTS, b"Connection: close")
    async with asking(closing, closing) as (server, connection):
        assert [await outcome(connection) for _ in range(2)] == ["resp_1"] * 2
    assert server.connections == 2


@pytest.mark.parametrize("length", [0, 40, 150, len(streamed()) - 3])
async def test_a_stream_that_is_cut_is_a_temporary_fault(
    nursery: trio.Nursery, length: int
) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(streamed()[:length])

    (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    port = listener.socket.getsockname()[1]
    with trio.fail_after(60):
        async with connected(f"http://127.0.0.1:{port}/v1", idle_seconds=60) as connection:
            with pytest.raises(ModelTemporary, match="or cut: RemoteProtocolError"):
                await outcome(connection)


@pytest.mark.parametrize("length", [0, 40, 150])
async def test_silence_is_a_temporary_fault_whenever_it_begins(length: int) -> None:
    async with (
        served(b"HTTP/1.1" if not length else streamed()[:length]) as server,
        connected(f"http://127.0.0.1:{server.port}/v1", idle_seconds=0.1) as connection,
    ):
        with pytest.raises(ModelTemporary, match="in time"):
            await outcome(connection)


async def test_a_redirect_is_followed_with_the_request_that_was_made(
    nursery: trio.Nursery,
) -> None:
    requests: list[list[bytes]] = [[], []]

    async def listen(number: int, answer: bytes) -> int:
        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                seen = b""
                while data := await stream.receive_some():
                    seen += bytes(data)
                    if seen.endswith(b"}"):
                        requests[number].append(seen)
                        seen = b""
                        await stream.send_all(answer)

        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        return int(listener.socket.getsockname()[1])

    with trio.fail_after(30):
        place = b"http://127.0.0.1:%d/elsewhere" % await listen(1, streamed())
        moved = b"HTTP/1.1 307 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % place
        port = await listen(0, moved)
        async with connected(f"http://127.0.0.1:{port}/v1") as connection:
            assert await outcome(connection) == "resp_1"
    assert {request.split(b"\r\n")[0] for request in requests[0]} == {
        b"POST /v1/responses HTTP/1.1"
    }
    (followed,) = requests[1]
    assert followed.startswith(b"POST /elsewhere HTTP/1.1\r\n")
    assert followed.endswith(b'{"model":"m"}')
    assert KEY.encode() not in followed


async def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(streamed()) as server:
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "")
        async with connected("http://model.invalid/v1") as connection:
            assert await outcome(connection) == "resp_1"
    lines = server.heads[0].split(b"\r\n")
    assert lines[0] == b"POST http://model.invalid/v1/responses HTTP/1.1"
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in lines


async def test_a_recording_is_uploaded() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    async with asking(text + b'{"text": " si "}') as (server, connection):
        sound = ("a.ogg", b"OggS-sound", "audio/ogg")
        assert await connection.transcribe(sound, model="m", language="es") == "si"
    assert b"OggS-sound" in b"".join(server.heads)
