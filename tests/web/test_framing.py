"""Requests that can be read in two ways, or that say more than they may yet."""

import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Start, read_all, read_until

from daemon.domain.accounts import Session

SECRET = "a-webhook-secret"
TOKEN = "the-admin-token"
HOOK = b"POST /hook HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a-webhook-secret\r\n"
PAGE = (
    b"POST /takeover/pause HTTP/1.1\r\nhost: x\r\nauthorization: Bearer the-admin-token\r\n"
    b"content-type: application/json\r\n"
)
JSON = b'{"chat": "573001234567"}'
HANDSHAKE = (
    b"GET /dashboard/api/logs HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\n"
    b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nauthorization: Bearer the-admin-token\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"
SMUGGLED = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lengths",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 2\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: Chunked\r\n",
        b"transfer-encoding: identity\r\ncontent-length: 2\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"content-length: 2\r\ncontent-length: 3\r\n",
        b"content-length: +2\r\n",
    ],
)
@pytest.mark.parametrize("head", [HOOK, PAGE])
async def test_two_lengths_are_refused_and_the_connection_closed(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog, head: bytes, lengths: bytes
) -> None:
    """Nothing behind them is taken for a request: another reader would see one elsewhere."""
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN)
    with trio.fail_after(30):
        answer = await served.exchange(head + lengths + b"\r\n2\r\n{}\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.partition(b" ")[2][:3] in {b"400", b"501"}
    assert b"connection: close" in answer
    assert not daemon.stored
    assert not daemon.pauses
    assert not log.of("error")


async def test_chunks_are_no_part_of_http_1_0(start_edge: Start, daemon: MemoryDaemon) -> None:
    served = await start_edge()
    request = b"POST /hook HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    with trio.fail_after(30):
        assert (await served.exchange(request)).startswith(b"HTTP/1.1 400 ")
    assert not daemon.stored


@pytest.mark.parametrize(
    ("head", "body", "ending"), [(HOOK, b"{}", b"}"), (PAGE, JSON, b"}\n")], ids=["webhook", "page"]
)
async def test_a_wanted_body_is_asked_for(
    start_edge: Start, head: bytes, body: bytes, ending: bytes
) -> None:
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN)
    expecting = b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
    with trio.fail_after(30):
        async with await served.connect() as stream:
            await stream.send_all(head + expecting)
            assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(body)
            assert (await read_until(stream, ending)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (HOOK.replace(b"a-webhook", b"another") + b"content-length: 2\r\n", b"401"),
        (HOOK + b"content-length: 999999999\r\n", b"413"),
        (PAGE.replace(b"the-admin", b"another") + b"content-length: 2\r\n", b"401"),
        (PAGE + b"content-length: 9999999\r\n", b"413"),
        (b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n", b"404"),
    ],
)
async def test_an_unwanted_body_is_not_asked_for(
    start_edge: Start, request_head: bytes, status: bytes
) -> None:
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN)
    with trio.fail_after(30):
        answer = await served.exchange(request_head + b"expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"HTTP/1.1 100" not in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        HANDSHAKE + b"\r\n" + HELLO,
        HANDSHAKE + b"\r\n" + SMUGGLED,
        HANDSHAKE + b"content-length: 5\r\n\r\nhello",
        HANDSHAKE + b"content-length: 0\r\n\r\n",
        HANDSHAKE + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_a_handshake_with_early_data_is_a_400(
    start_edge: Start, log: MemoryLog, request_bytes: bytes, token: str
) -> None:
    served = await start_edge(admin_token=token)
    with trio.fail_after(30):
        answer = await served.exchange(request_bytes)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert await served.alive()
    assert not log.of("error")


async def test_data_before_the_handshakes_answer_is_a_400(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    """It comes while the app still looks who asks; what the app says then is not sent."""
    asked, answer_it = trio.Event(), trio.Event()

    async def slow(name: str) -> Session:  # noqa: ARG001 - the watch's
        asked.set()
        await answer_it.wait()
        return Session(ends_at=daemon.now() + 100)

    daemon.sessions.find = slow  # type: ignore[method-assign]
    served = await start_edge(admin_token=TOKEN)
    own_page = HANDSHAKE.replace(
        b"authorization: Bearer the-admin-token",
        b"cookie: __Host-recado=any\r\norigin: http://127.0.0.1",
    )
    with trio.fail_after(30):
        async with await served.connect() as stream:
            await stream.send_all(own_page + b"\r\n")
            await asked.wait()
            await stream.send_all(HELLO)
            answer = await read_until(stream, b"\r\n\r\n")
            answer_it.set()
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert await read_all(stream) == b""
        assert await served.alive()
    assert not log.of("error")


@pytest.mark.parametrize(
    "host",
    [
        *(b"[", b"[::1", b"::1]", b"[::1]x", b"[g::1]", b"a b", b"x\xff", b"u@h", b"h/p", b"x:y"),
        *(b"x:99999", b"x:1:2", b"[::1]:70000", b"<script>", b"x\\y", b"x?y", b"x#y"),
        *(b"a..b", b".a", b"a" * 64, b"a." + b"b" * 64 + b".c"),
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_an_odd_host_is_a_400(
    start_edge: Start, log: MemoryLog, host: bytes, token: str
) -> None:
    served = await start_edge(admin_token=token)
    with trio.fail_after(30):
        for asking in (
            HANDSHAKE.replace(b"127.0.0.1", host) + b"\r\n",
            b"GET /dashboard HTTP/1.1\r\nhost: " + host + b"\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nhost: " + host + b"\r\n\r\n",
        ):
            assert (await served.exchange(asking)).startswith(b"HTTP/1.1 400 "), asking
    assert not log.of("error")


@pytest.mark.parametrize(
    "target", [b"?a=b", b"*", b"http://[", b"http://127.0.0.1/metrics", b"x/y"]
)
async def test_a_target_that_is_no_path_is_a_400(
    start_edge: Start, log: MemoryLog, target: bytes
) -> None:
    served = await start_edge()
    with trio.fail_after(30):
        for asking in (b"GET /dashboard/api/logs HTTP/1.1\r\nhost: x\r\n", HANDSHAKE):
            request = asking.replace(b"/dashboard/api/logs", target) + b"\r\n"
            assert (await served.exchange(request)).startswith(b"HTTP/1.1 400 ")
    assert not log.of("error")


async def test_a_method_in_another_case_is_none(start_edge: Start, log: MemoryLog) -> None:
    """For one half of the server it would be HEAD, for the other not."""
    served = await start_edge()
    with trio.fail_after(30):
        for path in (b"/health", b"/dashboard"):
            answer = await served.exchange(b"HeAD " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 501 ")
    assert not log.of("error")


async def test_data_behind_a_refused_handshake_is_not_read(
    start_edge: Start, log: MemoryLog
) -> None:
    """It comes while the refusal is still being sent, at one moment or another."""
    served = await start_edge(admin_token=TOKEN)
    stranger = HANDSHAKE.replace(b"authorization: Bearer the-admin-token\r\n", b"")
    with trio.fail_after(30):
        for moment in range(60):
            async with await served.connect() as stream:
                await stream.send_all(stranger + b"\r\n")
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
                await stream.send_all(HELLO)
                answer = await read_all(stream)
                assert answer.partition(b" ")[2][:3] in {b"400", b"403", b""}
    assert not log.of("error")
    assert not log.of("warning")


async def test_a_client_that_leaves_in_the_handshake_causes_no_error(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    served = await start_edge(admin_token=TOKEN)
    with trio.fail_after(30):
        for _ in range(10):
            async with await served.connect() as stream:
                await stream.send_all(HANDSHAKE + b"\r\n")
        async with await served.connect() as stream:
            await stream.send_all(HANDSHAKE + b"\r\n")
            await stream.send_eof()
            await read_all(stream)
        assert await served.alive()
        served.stop.set()
        await served.ended.wait()
    assert not daemon.watch.feeds
    assert not log.of("error")


@pytest.mark.parametrize(
    "host",
    [b"x", b"", b"x.", b"a" * 63 + b".b", b"a-b.c_d", b"[::1]:8080", b"127.0.0.1:8080", b"x:"],
)
async def test_names_and_addresses_are_hosts(start_edge: Start, host: bytes) -> None:
    served = await start_edge()
    request = b"GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: " + host + b"\r\n\r\n"
    with trio.fail_after(30):
        assert (await served.exchange(request)).startswith(b"HTTP/1.1 200 ")
