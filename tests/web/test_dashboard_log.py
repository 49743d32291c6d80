"""The live log over HTTP and WebSocket."""

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start
from support.plain import NO_TLS
from support.watch import MOST_WAITING
from support.websocket import Refused, WebSocketClient, websocket

from daemon.errors import StoreUnavailable
from daemon.http.connection import Limits
from daemon.http.dashboard.log_page import BEAT_SECONDS, SIGNED_OUT

TOKEN = "the-admin-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATH = "/dashboard/api/logs"


async def get(url: str, **options: object) -> httpx.Response:
    with trio.fail_after(30):
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
            return await client.get(url, **options)  # type: ignore[arg-type]


async def test_stored_lines_are_filtered_and_paged(start_edge: Start, daemon: MemoryDaemon) -> None:
    for number in range(10):
        daemon.watch.say(f"line {number}", kind="message" if number % 2 else "response", ref="a")
    served = await start_edge(admin_token=TOKEN)
    url = f"{served.url}/dashboard/logs"
    newest = (await get(f"{url}?limit=4", headers=BEARER)).json()
    assert [line["line"] for line in newest["lines"]] == ["line 6", "line 7", "line 8", "line 9"]
    older = (await get(f"{url}?limit=4&before={newest['before']}", headers=BEARER)).json()
    assert [line["id"] for line in older["lines"]] == [3, 4, 5, 6]
    kinds = (await get(f"{url}?kind=response&chat=a", headers=BEARER)).json()
    assert [line["id"] for line in kinds["lines"]] == [1, 3, 5, 7, 9]
    assert (await get(f"{url}?text=LINE+7", headers=BEARER)).json()["count"] == 1
    after = (await get(f"{url}?after=8", headers=BEARER)).json()
    assert [line["id"] for line in after["lines"]] == [9, 10]
    nonsense = await get(f"{url}?limit=-1&after=x&before=1e9&since=nan", headers=BEARER)
    assert nonsense.json()["count"] == 10


async def test_lines_are_in_the_readers_language_and_so_are_known_errors(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    wrong = "the channel is not usable"
    daemon.watch.say(f"Sin respuesta para Ana: {wrong}", kind="turn given up")
    daemon.watch.say(f'Ana: "{wrong}"', kind="message")
    served = await start_edge()
    english = [f"No answer for Ana: {wrong}", f'Ana: "{wrong}"']
    spanish = ["Sin respuesta para Ana: el canal no se puede usar", f'Ana: "{wrong}"']
    for language, lines in (("en", english), ("es", spanish)):
        headers = {"Accept-Language": language}
        found = (await get(f"{served.url}/dashboard/logs", headers=headers)).json()["lines"]
        assert [line["line"] for line in found] == lines
        with trio.fail_after(30):
            asked = [(b"accept-language", language.encode())]
            async with websocket(served.port, PATH, headers=asked) as client:
                assert [line["line"] for line in await client.live()] == lines


async def test_history_comes_first_then_new_lines(start_edge: Start, daemon: MemoryDaemon) -> None:
    for number in range(5):
        daemon.watch.say(f"old {number}")
    served = await start_edge()
    with trio.fail_after(30):
        async with websocket(served.port, f"{PATH}?history=2") as client:
            assert [line["line"] for line in await client.live()] == ["old 3", "old 4"]
            daemon.watch.say("<b>new</b>")
            (line,) = await client.lines(1)
            assert (line["id"], line["line"]) == (6, "<b>new</b>")
            assert "key" not in line


async def test_a_cursor_resumes_without_a_gap_or_a_repeat(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge()
    seen: list[int] = []
    with trio.fail_after(30):
        for _ in range(4):
            after = seen[-1] if seen else 0
            async with websocket(served.port, f"{PATH}?after={after}") as client:
                seen += [line["id"] for line in await client.live()]
                daemon.watch.say("while connected")
                seen += [line["id"] for line in await client.lines(1)]
            for number in range(3):
                daemon.watch.say(f"while away {number}")
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 13


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 403),
        ([(b"origin", b"https://evil.example")], 403),
        ([(b"authorization", b"Bearer wrong")], 401),
    ],
)
async def test_a_handshake_needs_a_token_or_our_origin(
    start_edge: Start, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    served = await start_edge(admin_token=TOKEN)
    with trio.fail_after(30), pytest.raises(Refused) as refused:
        async with websocket(served.port, PATH, headers=headers):
            pass
    assert refused.value.status == status


async def test_a_page_of_ours_without_a_session_is_401(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN)
    origin = [(b"origin", served.url.encode())]
    with trio.fail_after(30), pytest.raises(Refused) as refused:
        async with websocket(served.port, PATH, headers=origin):
            pass
    assert refused.value.status == 401


async def test_bearer_and_cookie_both_open_the_handshake(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge(admin_token=TOKEN)
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
        answer = await client.post(
            f"{served.url}/dashboard/login", data={"token": TOKEN}, headers={"Origin": served.url}
        )
    cookie = answer.headers["set-cookie"].partition(";")[0].encode()
    origin = (b"origin", served.url.encode())
    daemon.watch.say("hello")
    with trio.fail_after(30):
        for headers in (
            [(b"authorization", b"Bearer the-admin-token")],
            [(b"cookie", cookie), origin],
        ):
            async with websocket(served.port, PATH, headers=headers) as client_:
                assert len(await client_.live()) == 1


@asynccontextmanager
async def signed_in(served: Served) -> AsyncIterator[tuple[httpx.AsyncClient, WebSocketClient]]:
    """A browser with a session, and the live log open in it."""
    async with httpx.AsyncClient(
        base_url=served.url, verify=NO_TLS, timeout=10, trust_env=False
    ) as client:
        client.headers["Origin"] = served.url
        answer = await client.post("/dashboard/login", data={"token": TOKEN})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        headers = [(b"cookie", cookie.encode()), (b"origin", served.url.encode())]
        async with websocket(served.port, PATH, headers=headers) as live:
            await live.live()
            client.headers["Cookie"] = cookie
            yield client, live


async def closing_code(live: WebSocketClient) -> int:
    """Wait until the server closes; gives its close code."""
    while live.closed is None:
        with suppress(trio.EndOfChannel):
            await live.receive()
    return live.closed.code


async def test_the_log_ends_with_the_logout(start_edge: Start, daemon: MemoryDaemon) -> None:
    served = await start_edge(admin_token=TOKEN)
    with trio.fail_after(30):
        async with signed_in(served) as (_, other), signed_in(served) as (client, live):
            await client.post("/dashboard/logout")
            assert await closing_code(live) == SIGNED_OUT
            daemon.watch.say("a secret of later")
            assert [line["line"] for line in await other.lines(1)] == ["a secret of later"]


async def test_the_log_ends_with_the_time_of_the_session(
    start_edge: Start, autojump_clock: trio.testing.MockClock
) -> None:
    served = await start_edge(admin_token=TOKEN, session_seconds=100)
    with trio.fail_after(1_000):
        async with signed_in(served) as (_, live):
            assert await closing_code(live) == SIGNED_OUT
    assert 99 < autojump_clock.current_time() < 101


async def test_the_log_ends_when_another_process_ends_the_session(
    start_edge: Start, daemon: MemoryDaemon, autojump_clock: trio.testing.MockClock
) -> None:
    served = await start_edge(admin_token=TOKEN)
    with trio.fail_after(1_000):
        async with signed_in(served) as (_, live):
            daemon.watch.sessions.ends.clear()
            assert await closing_code(live) == SIGNED_OUT
    assert autojump_clock.current_time() < 2 * BEAT_SECONDS


async def test_an_open_log_is_not_for_other_sites_or_rebound_names(start_edge: Start) -> None:
    served = await start_edge()
    with trio.fail_after(30):
        with pytest.raises(Refused):
            async with websocket(served.port, PATH, headers=[(b"origin", b"https://evil.example")]):
                pass
        with pytest.raises(Refused):
            async with websocket(
                served.port,
                PATH,
                host="evil.example",
                headers=[(b"origin", b"http://evil.example")],
            ):
                pass


async def test_the_stop_closes_with_1001(start_edge: Start) -> None:
    served = await start_edge()
    with trio.fail_after(30):
        async with websocket(served.port, PATH) as client:
            await client.live()
            served.stop.set()
            with pytest.raises(trio.EndOfChannel):
                await client.receive()
            assert client.closed is not None
            assert client.closed.code == 1001
        await served.ended.wait()


async def test_a_slow_reader_is_notified_and_dropped_and_may_come_back(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge()
    with trio.fail_after(30):
        async with websocket(served.port, PATH) as client:
            await client.live()
            for number in range(MOST_WAITING + 5):
                daemon.watch.say(f"line {number}")
            dropped = await client.receive()
            assert dropped == {"type": "dropped", "after": 0}
            with pytest.raises(trio.EndOfChannel):
                await client.receive()
            assert client.closed is not None
            assert client.closed.code == 1013
        async with websocket(served.port, f"{PATH}?after=1") as client:
            assert len(await client.live()) == MOST_WAITING + 4


async def test_a_client_that_never_reads_is_cut_off(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    """What it does not read fills its socket, not our memory; then its connection ends."""
    served = await start_edge(limits=Limits(send_seconds=0.2))
    with trio.fail_after(30):
        async with websocket(served.port, PATH):
            await daemon.watch.followed.wait()
            (feed,) = daemon.watch.feeds
            most = 0
            while daemon.watch.feeds:
                if len(feed.waiting) < 20:
                    daemon.watch.say("x" * 100_000)
                most = max(most, len(feed.waiting))
                del daemon.watch.stored[:-1]
                await trio.sleep(0.001)
            assert most <= MOST_WAITING


async def test_a_fault_of_ours_is_a_page_without_its_detail(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    daemon.watch.failure = RuntimeError("the detail")
    served = await start_edge()
    page = await get(f"{served.url}/dashboard")
    assert (page.status_code, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "Error interno" in page.text
    assert "the detail" not in page.text
    lines = await get(f"{served.url}/dashboard/logs")
    assert (lines.status_code, lines.json()) == (500, {"error": "internal server error"})
    assert len([line for line in log.lines if "a page failed" in str(line)]) == 2


async def test_a_store_that_cannot_be_read_is_reported(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    daemon.watch.failure = StoreUnavailable("no disk")
    served = await start_edge()
    assert (await get(f"{served.url}/dashboard/logs")).status_code == 503
    page = await get(f"{served.url}/dashboard")
    assert page.status_code == 503
    assert "Prueba otra vez" in page.text
    assert "no disk" not in page.text
    with trio.fail_after(30):
        async with websocket(served.port, PATH) as client:
            with pytest.raises(trio.EndOfChannel):
                await client.receive()
            assert client.closed is not None
            assert client.closed.code == 1013


async def test_the_page_shows_hostile_filters_as_text(start_edge: Start) -> None:
    served = await start_edge()
    hostile = '"><script>alert(1)</script>'
    page = (
        await get(f"{served.url}/dashboard/log", params={"text": hostile, "chat": hostile})
    ).text
    assert "<script>alert" not in page
    assert html.escape(hostile, quote=True).replace("&quot;", "&#34;") in page
