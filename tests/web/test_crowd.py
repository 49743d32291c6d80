"""However many strangers there are, whoever has the secret is served."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start, read_all, read_until

from daemon.http.asgi import Receive, Scope, Send, answer_json, answer_lifespan
from daemon.http.connection import Limits

SECRET = "a-webhook-secret"
WEBHOOK = (
    b"POST /hook HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a-webhook-secret\r\n"
    b"content-length: 2\r\n\r\n{}"
)
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
HALF_A_HEAD = b"POST /hook HTTP/1.1\r\nhost: x\r\n"
HALF_A_BODY = (
    b"POST /dashboard/login HTTP/1.1\r\nhost: x\r\n"
    b"content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\ntoken="
)
SILENT = b""
SMALL = Limits(connections=20, unauthenticated_per_address=10)
ROOM = Limits(connections=20, unauthenticated_per_address=1000)


@asynccontextmanager
async def strangers(
    served: Served, count: int, said: bytes = SILENT
) -> AsyncIterator[list[trio.SocketStream]]:
    """So many connections of strangers, each of which has said something."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(await served.connect()) for _ in range(count)]
        for stream in streams:
            try:
                await stream.send_all(said)
            except trio.BrokenResourceError:
                continue  # it was put out already
        yield streams


@asynccontextmanager
async def known(served: Served) -> AsyncIterator[trio.SocketStream]:
    """A connection that has carried the secret, and stays."""
    async with await served.connect() as stream:
        await stream.send_all(WEBHOOK)
        assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")
        yield stream


async def is_answered(stream: trio.SocketStream, request: bytes = WEBHOOK) -> bool:
    """Whether a request on a connection is answered with 200."""
    await stream.send_all(request)
    return (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("said", [SILENT, HEALTH, HALF_A_HEAD, HALF_A_BODY])
@pytest.mark.parametrize("limits", [SMALL, ROOM])
async def test_a_webhook_does_not_wait_for_strangers(
    start_edge: Start, said: bytes, limits: Limits
) -> None:
    """Those who have come, asked, or begun to ask are put out, the oldest first."""
    served = await start_edge(
        limits=limits, webhook_secrets=(SECRET,), admin_token="a-token", body_deadline_seconds=60
    )
    with trio.fail_after(30):
        async with known(served) as before, strangers(served, 50, said):
            async with await served.connect() as late:
                assert await is_answered(late)
            assert await is_answered(before)


async def test_the_oldest_stranger_goes_and_the_known_stay(
    start_edge: Start, log: MemoryLog
) -> None:
    served = await start_edge(limits=SMALL, webhook_secrets=(SECRET,))
    with trio.fail_after(30):
        async with known(served) as before, strangers(served, 11, HEALTH) as all_of_them:
            await read_all(all_of_them[0])
            for stream in all_of_them[1:]:
                await read_until(stream, b"}")
                assert await is_answered(stream, HEALTH)
            assert await is_answered(before)
    (fields,) = [fields for event, fields in log.of("warning") if "room" in event]
    assert fields == {"full": "address", "address": "127.0.0.1"}


async def test_the_known_do_not_count_against_their_address(start_edge: Start) -> None:
    served = await start_edge(limits=SMALL, webhook_secrets=(SECRET,))
    with trio.fail_after(30):
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(known(served)) for _ in range(15)]
            for stream in streams:
                assert await is_answered(stream)


async def test_a_trusted_proxy_may_have_as_many_as_the_server(start_edge: Start) -> None:
    served = await start_edge(limits=SMALL, proxies=["127.0.0.0/8"], webhook_secrets=(SECRET,))
    with trio.fail_after(30):
        async with strangers(served, 20, HEALTH) as all_of_them:
            for stream in all_of_them:
                await read_until(stream, b"}")
                assert await is_answered(stream, HEALTH)


async def test_among_the_known_the_one_idle_longest_makes_room(start_edge: Start) -> None:
    limits = Limits(connections=2)
    served = await start_edge(limits=limits, webhook_secrets=(SECRET,))
    with trio.fail_after(30):
        async with known(served) as first, known(served) as second:
            assert await is_answered(first)
            async with await served.connect() as third:
                assert await is_answered(third)
                assert await read_all(second) == b""
                assert await is_answered(first)


async def test_a_new_one_waits_while_all_have_a_request_under_way(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    """Nobody who has the secret is cut off for somebody who may not."""
    served = await start_edge(limits=Limits(connections=1), webhook_secrets=(SECRET,))
    daemon.hold = trio.Event()
    with trio.fail_after(30):
        async with await served.connect() as busy:
            await busy.send_all(WEBHOOK)
            await daemon.entered.wait()
            async with await served.connect() as waiting:
                await waiting.send_all(WEBHOOK)
                with trio.move_on_after(0.1) as early:
                    await waiting.receive_some()
                assert early.cancelled_caught
                daemon.hold.set()
                assert (await read_until(busy, b"}")).startswith(b"HTTP/1.1 200 ")
                assert (await read_until(waiting, b"}")).startswith(b"HTTP/1.1 200 ")


async def test_strangers_that_were_put_out_leave_nothing_behind(
    start: Start, log: MemoryLog
) -> None:
    """Neither a task nor a place; the stop is as quick as ever."""

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        else:
            await answer_json(send, 200, {})

    with trio.fail_after(30):
        served = await start(plain, limits=SMALL)
        for _ in range(5):
            async with strangers(served, 30, HALF_A_BODY):
                pass
        async with strangers(served, 10) as left:
            for stream in left:
                assert await is_answered(stream, HEALTH)
        served.stop.set()
        await served.ended.wait()
    assert not log.of("error")
