"""Probes and pages: who gets which, and what a stranger is told."""

import httpx
import pytest
import trio
from quart import request
from support.edge import MemoryDaemon, MemoryLog, Start, read_until
from support.plain import NO_TLS

from daemon.http.access import Access
from daemon.http.edge import PAGE_BODY_BYTES, create_edge, create_hook
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings

TOO_LARGE = PAGE_BODY_BYTES + 1
TOKEN = {"Authorization": "Bearer admin-token"}


async def fetch(
    start_edge: Start,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    **settings: object,
) -> httpx.Response:
    """Ask a new edge once."""
    with trio.fail_after(30):
        served = await start_edge(**settings)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            return await client.request(method, f"{served.url}{path}", headers=headers)


async def test_health_shows_the_daemons_state(start_edge: Start) -> None:
    answer = await fetch(start_edge, "GET", "/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "activeBuffers": 0}
    assert answer.headers["cache-control"] == "no-store"


async def test_health_answers_even_if_the_counts_fail(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    daemon.failure = RuntimeError("a detail that stays inside")
    answer = await fetch(start_edge, "GET", "/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert "detail" not in answer.text
    assert log.of("error")[0][1]["error"] == "RuntimeError"


async def test_ready_is_200_or_503_with_the_reason(start_edge: Start, daemon: MemoryDaemon) -> None:
    ready = await fetch(start_edge, "GET", "/ready")
    daemon.unready = "stopping"
    unready = await fetch(start_edge, "GET", "/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert unready.status_code == 503
    assert unready.json() == {"status": "unready", "reason": "stopping"}


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_know_head_and_refuse_the_rest(start_edge: Start, path: str) -> None:
    asked = await fetch(start_edge, "HEAD", path)
    posted = await fetch(start_edge, "POST", path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_the_first_page_is_open_and_has_security_headers(start_edge: Start) -> None:
    answer = await fetch(start_edge, "GET", "/", admin_token="admin-token")
    assert answer.json() == {"service": "recado", "status": "ready"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == (
        "default-src 'self'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/metrics"), ("GET", "/locks"), ("POST", "/locks/clear")]
)
async def test_admin_routes_want_the_token(
    start_edge: Start, daemon: MemoryDaemon, method: str, path: str
) -> None:
    without = await fetch(start_edge, method, path, admin_token="admin-token")
    wrong = await fetch(
        start_edge, method, path, admin_token="admin-token", headers={"Authorization": "Bearer x"}
    )
    assert daemon.cleared == 0
    right = await fetch(start_edge, method, path, admin_token="admin-token", headers=TOKEN)
    unset = await fetch(start_edge, method, path)
    assert [a.status_code for a in (without, wrong, right, unset)] == [401, 401, 200, 200]
    assert "error" in without.json()
    assert without.headers["www-authenticate"].startswith("Bearer")


async def test_clearing_locks_is_forbidden_in_production(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    answer = await fetch(
        start_edge,
        "POST",
        "/locks/clear",
        environment="production",
        admin_token="admin-token",
        headers=TOKEN,
    )
    assert answer.status_code == 403
    assert list(answer.json()) == ["error"]
    assert daemon.cleared == 0


async def test_clearing_locks_returns_their_count(start_edge: Start, daemon: MemoryDaemon) -> None:
    answer = await fetch(start_edge, "POST", "/locks/clear")
    assert answer.json()["cleared"] == 3
    assert daemon.cleared == 1


async def test_the_format_of_metrics_is_negotiated_by_the_daemon(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    wanted = "application/openmetrics-text; version=1.0.0"
    answer = await fetch(start_edge, "GET", "/metrics", headers={"Accept": wanted})
    assert daemon.accept_headers == [wanted]
    assert answer.content == b"recado_up 1\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/locks", 405), ("GET", "/locks/clear", 405)],
)
async def test_errors_are_json(start_edge: Start, method: str, path: str, status: int) -> None:
    answer = await fetch(start_edge, method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert ("allow" in answer.headers) is (status == 405)


async def test_a_fault_is_a_500_without_its_detail(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    daemon.failure = RuntimeError("a detail that stays inside")
    answer = await fetch(start_edge, "GET", "/")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error"}
    assert log.of("error")[0][1]["error"] == "RuntimeError"


@pytest.mark.parametrize("header", [f"content-length: {TOO_LARGE}", "transfer-encoding: chunked"])
async def test_pages_take_no_large_bodies(
    start: Start, daemon: MemoryDaemon, log: MemoryLog, header: str
) -> None:
    """Even a page that would read it all, whether the body says its size or grows."""
    settings, access = (
        EdgeSettings(environment="test"),
        Access(daemon.state, log, audit=daemon.audit),
    )
    pages = create_pages(daemon, settings, log, access)
    read = 0

    @pages.post("/form")
    async def form() -> str:
        nonlocal read
        read = len(await request.get_data())
        return "read"

    with trio.fail_after(30):
        served = await start(
            create_edge(daemon, settings, pages, log, create_hook(daemon, settings, log, access))
        )
        async with await served.connect() as stream:
            await stream.send_all(f"POST /form HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n".encode())
            if "chunked" in header:
                await stream.send_all(b"%x\r\n" % TOO_LARGE + b"x" * TOO_LARGE)
            answer = await read_until(stream, b"}")
        assert await served.alive()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert read == 0


async def test_an_unknown_websocket_path_is_refused(start_edge: Start) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        answer = await served.exchange(
            b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert await served.alive()
    assert answer.startswith(b"HTTP/1.1 404 ")
