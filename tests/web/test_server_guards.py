"""What one client does never reaches another one, nor the stop."""

import os
import socket

import h11
import httpx
import pytest
import trio
import trio.testing
from quart import Response, websocket
from quart_trio import QuartTrio
from support.edge import MemoryLog, Start, read_all, read_until
from support.plain import NO_TLS

from daemon.http import connection
from daemon.http.asgi import Receive, Scope, Send, answer_json, answer_lifespan
from daemon.http.connection import Limits
from daemon.http.server import open_listeners

GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
H2C = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
UPGRADE = (
    b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO_AND_CLOSE = b"\x81\x85\x00\x00\x00\x00hello\x88\x80\x00\x00\x00\x00"
NOT_ASCII = UPGRADE.replace(b"\r\n\r\n", b"\r\nsec-websocket-protocol: \xff\r\n\r\n")


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with an empty object, at once."""
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await answer_json(send, 200, {})


def quart_app(blob: bytes = b"ok") -> QuartTrio:
    """Make a Quart app with one page and one WebSocket that says hello and then listens."""
    app = QuartTrio(__name__, static_folder=None)

    @app.get("/health")
    async def page() -> Response:
        return Response(blob)

    @app.websocket("/live")
    async def live() -> None:
        await websocket.send("hello")
        await websocket.receive()

    return app


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(UPGRADE + HELLO_AND_CLOSE, id="websocket data behind head"),
        pytest.param(NOT_ASCII, id="websocket header not ascii"),
        pytest.param(H2C + b"http2-settings: !!!not base64!!!\r\n\r\n", id="h2c bad base64"),
        pytest.param(H2C + b"http2-settings: AAQAgAAAAAA\r\n\r\n", id="h2c settings cut"),
        pytest.param(H2C + b"http2-settings: AAT_____\r\n\r\n", id="h2c invalid value"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00", id="http/2 prior knowledge"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls hello"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", id="bytes in the path"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", id="length"),
    ],
)
@pytest.mark.parametrize("framework", ["bare", "quart"])
async def test_a_killing_request_ends_only_its_connection(
    start: Start, request_bytes: bytes, framework: str
) -> None:
    with trio.fail_after(30):
        limits = Limits(head_seconds=0.1, idle_seconds=0.1)
        served = await start(plain if framework == "bare" else quart_app(), limits=limits)
        await served.exchange(request_bytes)
        assert await served.alive()
        assert not served.ended.is_set()


async def test_a_failure_in_a_connection_is_one_warning_with_a_count(
    start: Start, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("a detail that stays inside")

    with trio.fail_after(30):
        served = await start(plain)
        with monkeypatch.context() as broken:
            broken.setattr(connection, "whole_request", fail)
            for _ in range(2):
                await served.exchange(GET)
        assert await served.alive()
    warnings = log.of("warning")
    assert [event for event, _ in warnings] == ["a connection failed"] * 2
    assert [fields for _, fields in warnings] == [
        {"error": "ValueError", "count": 1},
        {"error": "ValueError", "count": 2},
    ]


async def test_a_handshake_that_is_not_ascii_is_a_400(start: Start, log: MemoryLog) -> None:
    with trio.fail_after(30):
        served = await start(plain)
        assert (await served.exchange(NOT_ASCII)).startswith(b"HTTP/1.1 400 ")
    assert not log.lines


async def test_an_offer_of_http2_is_answered_in_http1(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(plain)
        answer = await served.exchange(
            H2C.replace(b"upgrade, ", b"upgrade, close, ") + b"http2-settings: AAMAAABk\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_app_that_fails_is_a_500_and_is_logged(start: Start, log: MemoryLog) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        else:
            raise ValueError("a detail that stays inside")

    with trio.fail_after(30):
        served = await start(broken)
        answer = await served.exchange(GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"detail" not in answer
    assert log.of("error")[0][1]["error"] == "ValueError"


async def test_connection_close_is_honoured_after_a_quart_answer(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(quart_app())
        answer = await served.exchange(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert answer.endswith(b"ok")


async def test_a_quart_connection_is_used_again(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(quart_app())
        async with await served.connect() as stream:
            for _ in range(3):
                await stream.send_all(GET)
                await read_until(stream, b"ok")


@pytest.mark.parametrize("framework", ["bare", "quart"])
async def test_an_idle_client_does_not_delay_the_stop(start: Start, framework: str) -> None:
    """The grace is 30 s and the client never closes; the stop does not wait for it."""
    with trio.fail_after(30):
        served = await start(plain if framework == "bare" else quart_app())
        async with await served.connect() as used, await served.connect() as silent:
            await used.send_all(GET)
            await read_until(used, b"{}" if framework == "bare" else b"ok")
            served.stop.set()
            with trio.fail_after(30):
                await served.ended.wait()
            assert await read_all(used) == b""
            assert await read_all(silent) == b""


async def test_a_client_that_was_just_answered_gets_its_next_request_in_at_the_stop(
    start: Start,
) -> None:
    """So that a restart under load resets nobody; and the answer says that it is the last."""
    with trio.fail_after(30):
        served = await start(plain)
        async with await served.connect() as stream:
            await stream.send_all(GET)
            await read_until(stream, b"{}")
            served.stop.set()
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(GET)
            last = await read_all(stream)
        await served.ended.wait()
    assert last.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in last


async def test_a_request_in_flight_is_answered_after_the_stop(start: Start) -> None:
    entered, hold = trio.Event(), trio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            entered.set()
            await hold.wait()
        await plain(scope, receive, send)

    with trio.fail_after(30):
        served = await start(slow)
        async with await served.connect() as stream:
            await stream.send_all(GET)
            await entered.wait()
            served.stop.set()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(OSError, match=r"connect|refused"):
                await served.connect()
            assert not served.ended.is_set()
            hold.set()
            answer = await read_all(stream)
        await served.ended.wait()
    assert answer.endswith(b"{}")
    assert b"connection: close" in answer


async def test_requests_still_running_after_the_grace_are_cut(start: Start, log: MemoryLog) -> None:
    cancelled = trio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    with trio.fail_after(30):
        served = await start(stuck, grace_seconds=0.1)
        async with await served.connect() as stream:
            await stream.send_all(GET)
            served.stop.set()
            await served.ended.wait()
            assert await read_all(stream) == b""
    assert cancelled.is_set()
    assert ("requests were cut at the stop", {"connections": 1}) in log.of("warning")


@pytest.mark.parametrize("framework", ["bare", "quart"])
async def test_a_client_that_never_reads_does_not_hang_the_stop(
    start: Start, framework: str
) -> None:
    """Its answer does not fit into the socket's buffers, and a write may take a minute."""
    blob = b"x" * 50_000_000
    sending = trio.Event()

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": blob, "more_body": False})

    with trio.fail_after(30):
        served = await start(
            large if framework == "bare" else quart_app(blob),
            grace_seconds=0.1,
            limits=Limits(send_seconds=60),
        )
        async with await served.connect() as stream:
            await stream.send_all(GET)
            assert await stream.receive_some(10) == b"HTTP/1.1 2"
            sending.set()
            served.stop.set()
            with trio.fail_after(30):
                await served.ended.wait()


async def test_a_client_that_never_reads_is_given_up_at_the_ceiling(start: Start) -> None:
    ended = trio.Event()

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000, "more_body": False})
        ended.set()

    with trio.fail_after(30):
        served = await start(large, limits=Limits(send_seconds=0.1))
        async with await served.connect() as stream:
            await stream.send_all(GET)
            await ended.wait()
            assert len(await read_all(stream)) < 50_000_000


async def test_a_time_limit_of_the_app_does_not_cut_a_write_in_half(start: Start) -> None:
    blob = b"x" * 20_000_000
    length = b"%d" % (len(blob) + 3)
    limited = trio.Event()

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with trio.CancelScope() as scope_of_ours:
            scope_of_ours.cancel()
            limited.set()
            await send({"type": "http.response.body", "body": blob, "more_body": True})
        await send({"type": "http.response.body", "body": b"end", "more_body": False})

    with trio.fail_after(30):
        served = await start(hasty)
        async with await served.connect() as stream:
            await stream.send_all(GET)
            await limited.wait()
            answer = await read_until(stream, b"end")
    assert len(answer.partition(b"\r\n\r\n")[2]) == int(length)


async def test_a_websocket_is_notified_of_the_stop(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(quart_app())
        async with await served.connect() as stream:
            await stream.send_all(UPGRADE)
            await read_until(stream, b"hello")
            served.stop.set()
            with trio.fail_after(30):
                await served.ended.wait()
            frame = await read_all(stream)
    assert frame[:1] == b"\x88"
    assert int.from_bytes(frame[2:4], "big") == 1001


async def test_a_head_that_is_too_large_is_a_431(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(plain)
        answer = await served.exchange(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"y" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_drips_is_cut_at_a_deadline(start: Start) -> None:
    """The deadline counts from the start, so that a byte now and then does not move it."""
    with trio.fail_after(30):
        served = await start(plain, limits=Limits(head_seconds=0.3))
        async with await served.connect() as stream, trio.open_nursery() as nursery:

            async def drip() -> None:
                await stream.send_all(b"GET / HTTP/1.1\r\n")
                while True:
                    await stream.send_all(b"x: y\r\n")
                    await trio.sleep(0.02)

            nursery.start_soon(drip)
            assert await read_all(stream) == b""
            nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed_in_the_end(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(quart_app(), limits=Limits(idle_seconds=0.1))
        async with await served.connect() as stream:
            await stream.send_all(GET)
            assert (await read_all(stream)).endswith(b"ok")


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        else:
            await answer_json(send, 200, {"path": scope["path"]})

    client = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target="/one", headers=[("host", "x")])
    head = client.send(request)
    with trio.fail_after(30):
        served = await start(echo)
        last = head[:-2].replace(b"/one", b"/three") + b"connection: close\r\n\r\n"
        answer = await served.exchange(head + head.replace(b"/one", b"/two") + last)
    assert 0 < answer.find(b'"/one"') < answer.find(b'"/two"') < answer.find(b'"/three"')


async def test_an_inherited_socket_keeps_listening_after_our_close(start: Start) -> None:
    """Its other holder, the service manager, keeps the queue: the next process takes over."""
    with trio.fail_after(30), socket.create_server(("127.0.0.1", 0)) as held:
        first = await start(plain, binds=[f"fd://{os.dup(held.fileno())}"])
        assert first.port == held.getsockname()[1]
        assert await first.alive()
        first.stop.set()
        await first.ended.wait()
        async with await first.connect() as queued:
            await queued.send_all(GET)
            await start(plain, binds=[f"fd://{os.dup(held.fileno())}"])
            await read_until(queued, b"{}")


async def test_addresses_are_all_listened_on_or_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await open_listeners(["127.0.0.1:0", f"127.0.0.1:{port}"])


async def test_a_client_of_a_common_kind_is_served(start: Start) -> None:
    with trio.fail_after(30):
        served = await start(plain)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.post(f"{served.url}/any", content=b"x" * 300_000)
    assert answer.status_code == 200
    assert "server" not in answer.headers
