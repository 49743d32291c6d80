"""Usual webhooks are read and answered by the store's thread, whatever their clients do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from support.edge import MemoryDaemon, MemoryLog, Served, Start, read_all, read_until

from daemon.errors import StoreUnavailable
from daemon.http.access import Access
from daemon.http.asgi import ASGIApp, Receive, Scope, Send, answer_json, answer_lifespan
from daemon.http.clients import Client
from daemon.http.connection import HttpConnection
from daemon.http.edge import is_hot_path
from daemon.http.hook import Hook
from daemon.http.request_context import EdgeSettings
from daemon.http.usual_webhooks import UsualCall

HEAD = b"POST /hook/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-secret\r\n"
POST = HEAD + b"Content-Length: 2\r\n\r\n{}"


class CountingHook(Hook):
    """The hook, with what came by the short way."""

    begun = given_back = 0

    def usual_call(self, data: bytes, client: Client) -> UsualCall | None:
        call = super().usual_call(data, client)
        self.begun += call is not None
        self.given_back += call is None
        return call


@pytest.fixture
def hook(daemon: MemoryDaemon, log: MemoryLog) -> CountingHook:
    settings = EdgeSettings(environment="test", webhook_secrets=("first-secret",))
    access = Access(daemon.state, log)
    return CountingHook(daemon.numbers, daemon.state, settings, log, access, now=daemon.now)


def app_of(hook: Hook) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
        elif scope["path"].startswith("/hook"):
            await hook(scope, receive, send)
        else:
            await answer_json(send, 200, {})

    return app


@pytest.fixture
async def served(start: Start, hook: CountingHook) -> AsyncIterator[Served]:
    with trio.fail_after(60):
        yield await start(app_of(hook), is_hot=is_hot_path, webhooks=hook)


@asynccontextmanager
async def known(served: Served) -> AsyncIterator[trio.SocketStream]:
    """A client that has sent its secret."""
    async with await served.connect() as stream:
        await stream.send_all(POST)
        assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")
        yield stream


async def test_all_but_the_first_of_a_connection_come_the_short_way(
    served: Served, hook: CountingHook, daemon: MemoryDaemon
) -> None:
    async with known(served) as one, known(served) as other:
        for _ in range(3):
            for stream in (one, other):
                await stream.send_all(POST)
                answer = await read_until(stream, b"}")
                assert answer.startswith(b"HTTP/1.1 200 ")
    assert hook.begun == 6
    assert len(daemon.stored) == 8


async def test_a_head_that_is_known_opens_nothing_to_a_new_client(
    served: Served, hook: CountingHook
) -> None:
    async with known(served) as stream:
        await stream.send_all(POST)
        await read_until(stream, b"}")
        async with await served.connect() as other:
            await other.send_all(POST.replace(b"first", b"wrong"))
            assert (await read_until(other, b"}")).startswith(b"HTTP/1.1 401 ")
        await stream.send_all(POST.replace(b"first", b"wrong"))
        assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 401 ")
    assert hook.begun == 1


async def test_another_length_than_the_head_says_is_no_usual_webhook(
    served: Served, hook: CountingHook, daemon: MemoryDaemon
) -> None:
    """The head is known by then."""
    async with known(served) as stream:
        await stream.send_all(POST)
        await read_until(stream, b"}")
        await stream.send_all(POST[:-1])
        while not hook.given_back:
            await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"}")
        await read_until(stream, b"}")
        await stream.send_all(POST + POST)
        both = await read_until(stream, b"}")
        while both.count(b"HTTP/1.1 200 ") < 2:
            both += await read_until(stream, b"}")
        for _ in range(2):  # the task of the connection reads the first one
            await stream.send_all(POST)
            await read_until(stream, b"}")
    assert hook.begun == 2
    assert {body for body, _ in daemon.stored} == {b"{}"}


@pytest.mark.parametrize("more", [POST, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_what_comes_before_the_answer_is_answered_after_it(
    served: Served, daemon: MemoryDaemon, more: bytes
) -> None:
    async with known(served) as stream:
        daemon.hold, daemon.entered = trio.Event(), trio.Event()
        await stream.send_all(POST)
        await daemon.entered.wait()
        await stream.send_all(more)
        await trio.testing.wait_all_tasks_blocked()
        stored = len(daemon.stored)
        daemon.hold.set()
        await read_until(stream, b"}")
        if more == POST:
            while len(daemon.stored) < stored + 2:
                await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        rest = await read_all(stream)
    assert b"connection: close" in rest.lower()


async def test_a_page_does_not_wait_for_the_store(served: Served, daemon: MemoryDaemon) -> None:
    """Though its client has brought a webhook before."""
    get = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    async with known(served) as reader, known(served) as busy:
        await reader.send_all(get)
        await read_until(reader, b"{}")
        daemon.hold, daemon.entered = trio.Event(), trio.Event()
        await busy.send_all(POST)
        await daemon.entered.wait()
        await reader.send_all(get)
        assert (await read_until(reader, b"{}")).startswith(b"HTTP/1.1 200 ")
        daemon.hold.set()
        assert (await read_until(busy, b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_leaves_before_its_answer_harms_nobody(
    served: Served, daemon: MemoryDaemon
) -> None:
    async with known(served) as stays:
        daemon.hold, daemon.entered = trio.Event(), trio.Event()
        async with known_to_leave(served, daemon):
            pass
        await trio.testing.wait_all_tasks_blocked()
        daemon.hold.set()
        await stays.send_all(POST)
        await read_until(stays, b"}")
    assert await served.alive()


@asynccontextmanager
async def known_to_leave(served: Served, daemon: MemoryDaemon) -> AsyncIterator[None]:
    """A client whose second webhook is being stored when it leaves."""
    hold, daemon.hold = daemon.hold, None
    async with known(served) as stream:
        daemon.hold, daemon.entered = hold, trio.Event()
        await stream.send_all(POST)
        await daemon.entered.wait()
        yield


async def test_a_webhook_that_is_not_stored_is_refused(
    served: Served, daemon: MemoryDaemon
) -> None:
    async with known(served) as stream:
        daemon.failure = StoreUnavailable("the disk is full")
        await stream.send_all(POST)
        answer = await read_until(stream, b"}")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 2" in answer
        daemon.failure = None
        await stream.send_all(POST)
        assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")
    while len(daemon.answers) < 3:  # what follows an answer is not waited for
        await trio.testing.wait_all_tasks_blocked()
    assert [status for status, _ in daemon.answers] == [200, 503, 200]


async def test_a_fault_after_the_answer_ends_nothing(
    served: Served, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async with known(served) as stream:
        daemon.report = fail
        for _ in range(2):
            await stream.send_all(POST)
            await read_until(stream, b"}")
    while len(faults := [fields["error"] for _, fields in log.of("error")]) < 2:
        await trio.testing.wait_all_tasks_blocked()
    assert faults == ["ZeroDivisionError"] * 2


async def test_a_connection_that_is_cut_while_its_webhook_is_stored_gets_no_answer(
    start: Start, hook: CountingHook, daemon: MemoryDaemon
) -> None:
    """Its descriptor may be another connection's by then."""
    with trio.fail_after(60):
        served = await start(app_of(hook), grace_seconds=0.1, is_hot=is_hot_path, webhooks=hook)
        async with known(served) as stream:
            daemon.hold, daemon.entered = trio.Event(), trio.Event()
            await stream.send_all(POST)
            await daemon.entered.wait()
            served.stop.set()
            await served.ended.wait()
            daemon.hold.set()
            while len(daemon.answers) < 2:  # it is stored, and reported
                await trio.testing.wait_all_tasks_blocked()
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""


async def test_at_the_stop_it_is_answered_and_the_connection_closed(
    served: Served, daemon: MemoryDaemon
) -> None:
    async with known(served) as stream:
        daemon.hold, daemon.entered = trio.Event(), trio.Event()
        await stream.send_all(POST)
        await daemon.entered.wait()
        served.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        daemon.hold.set()
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer
    await served.ended.wait()


async def test_a_webhook_that_comes_in_the_moment_of_the_stop_does_not_break_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's thread may begin it between any two looks of the event loop."""

    def look(connection: Any) -> float | None:
        seen: float | None = connection.seen
        if served.stop.is_set() and not connection._usual.lock.locked():
            connection.begin_request()
        return seen

    def note(connection: Any, since: float | None) -> None:
        connection.seen = since

    monkeypatch.setattr(HttpConnection, "_idle_since", property(look, note), raising=False)
    async with known(served) as stream:
        await trio.testing.wait_all_tasks_blocked()
        served.stop.set()
        assert await stream.receive_some() == b""
    await served.ended.wait()
