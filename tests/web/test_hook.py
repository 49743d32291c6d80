"""``/hook``: what is stored, what is refused, and that nothing is acknowledged without a row."""

import json
from functools import partial

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from support.edge import MemoryDaemon, MemoryLog, Start, read_until
from support.plain import NO_TLS

from daemon.errors import StoreUnavailable, WebhookError
from daemon.http.access import has_bearer
from daemon.http.hook import path_event

BODY = b'{"messages":[]}'
SECRETS = ("first-secret", "second-secret")


def head(*lines: str, path: str = "/hook", method: str = "POST") -> bytes:
    """Write a request's head with the header lines given."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "host: x", *lines, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [
        ("POST", "/hook", ""),
        ("POST", "/hook/", ""),
        ("POST", "/hook/messages", "messages.post"),
        ("PUT", "/hook/messages", "messages.put"),
        ("PATCH", "/hook/chats", "chats.patch"),
        ("DELETE", "/hook/messages", "messages.delete"),
        ("POST", "/hook/messages/patch", "messages.patch"),
        ("POST", "/hook/message/post", "message.post"),
    ],
)
async def test_a_webhook_is_stored_and_then_acknowledged(
    start_edge: Start, daemon: MemoryDaemon, method: str, path: str, event: str
) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.request(method, f"{served.url}{path}", content=BODY)
    assert answer.status_code == 200
    assert answer.json() == {
        "received": True,
        "timestamp": "2026-01-31T12:00:00.250Z",
        "environment": "test",
    }
    assert daemon.stored == [(BODY, event)]


async def test_the_answer_waits_for_the_store(start_edge: Start, daemon: MemoryDaemon) -> None:
    daemon.hold = trio.Event()
    with trio.fail_after(30):
        served = await start_edge()
        async with await served.connect() as stream:
            await stream.send_all(head("content-length: 2") + b"{}")
            await daemon.entered.wait()
            with trio.move_on_after(0.05) as waiting:
                await stream.receive_some()
            assert waiting.cancelled_caught
            daemon.hold.set()
            assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("failure", "status", "retry"),
    [
        (WebhookError("the body is not a JSON object"), 400, False),
        (StoreUnavailable("disk full at /somewhere"), 503, True),
        (RecursionError("deep inside"), 500, False),
    ],
)
async def test_an_unstored_call_is_not_acknowledged(
    start_edge: Start,
    daemon: MemoryDaemon,
    log: MemoryLog,
    failure: Exception,
    status: int,
    *,
    retry: bool,
) -> None:
    daemon.failure = failure
    with trio.fail_after(30):
        served = await start_edge()
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.post(f"{served.url}/hook", content=b"[")
            daemon.failure = None
            again = await client.post(f"{served.url}/hook", content=BODY)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) is retry
    assert list(answer.json()) == ["error"]
    assert "inside" not in answer.text
    assert "somewhere" not in answer.text
    assert again.status_code == 200
    assert [fields["error"] for _, fields in log.of("error")] == (
        ["RecursionError"] if status == 500 else []
    )


@pytest.mark.parametrize("secret", SECRETS)
async def test_every_configured_secret_opens(start_edge: Start, secret: str) -> None:
    with trio.fail_after(30):
        served = await start_edge(webhook_secrets=SECRETS)
        async with httpx.AsyncClient(
            verify=NO_TLS, timeout=30, headers={"Authorization": f"bearer {secret}"}
        ) as client:
            answer = await client.post(f"{served.url}/hook", content=BODY)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param(["authorization: Bearer wrong"], id="wrong"),
        pytest.param(["authorization: Bearer "], id="empty"),
        pytest.param(["authorization: first-secret"], id="no scheme"),
        pytest.param(["authorization: Basic first-secret"], id="other scheme"),
        pytest.param(["authorization: Bearer \xff\xfe\xe9"], id="not ascii"),
        pytest.param(["authorization: Bearer first-secret"] * 2, id="twice"),
    ],
)
async def test_without_a_secret_nothing_is_read_or_stored(
    start_edge: Start, daemon: MemoryDaemon, lines: list[str]
) -> None:
    """The body never comes, so an answer shows that it was not waited for."""
    with trio.fail_after(30):
        served = await start_edge(webhook_secrets=SECRETS)
        answer = await served.exchange(head(*lines, "content-length: 50000000"))
        assert await served.alive()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'www-authenticate: Bearer realm="recado"' in answer
    assert b"connection: close" in answer
    assert not daemon.entered.is_set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "BREW"])
async def test_other_methods_get_the_allowed_ones(start_edge: Start, method: str) -> None:
    with trio.fail_after(30):
        served = await start_edge(webhook_secrets=SECRETS)
        answer = await served.exchange(head(method=method))
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"allow: POST, PUT, PATCH, DELETE" in answer


async def test_a_deeper_path_is_not_found(start_edge: Start) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        answer = await served.exchange(head("content-length: 2", path="/hook/a/b/c") + b"{}")
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_a_declared_size_over_the_limit_is_refused_before_the_body(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    with trio.fail_after(30):
        served = await start_edge(max_body_bytes=1000)
        answer = await served.exchange(head("content-length: 1001"))
        exact = await served.exchange(
            head("content-length: 1000", "connection: close") + b"x" * 1000
        )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert exact.startswith(b"HTTP/1.1 200 ")
    assert len(daemon.stored) == 1


async def test_a_chunked_body_over_the_limit_is_refused_as_it_arrives(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    """The client would send for ever; it is told, and cut."""
    with trio.fail_after(30):
        served = await start_edge(max_body_bytes=300_000)
        async with await served.connect() as stream, trio.open_nursery() as nursery:

            async def pour() -> None:
                try:
                    await stream.send_all(head("transfer-encoding: chunked"))
                    while True:
                        await stream.send_all(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                except trio.BrokenResourceError:
                    pass

            nursery.start_soon(pour)
            assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 413 ")
        assert await served.alive()
    assert not daemon.entered.is_set()


async def test_a_large_body_that_is_sent_in_spite_of_a_refusal_does_not_hide_it(
    start_edge: Start,
) -> None:
    """A close with unread bytes would be a reset, which may overtake the answer."""
    with trio.fail_after(30):
        served = await start_edge(max_body_bytes=1000)
        async with await served.connect() as stream:
            await stream.send_all(head("content-length: 500000") + b"x" * 500_000)
            assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_stalls_is_a_408(start_edge: Start, daemon: MemoryDaemon) -> None:
    with trio.fail_after(30):
        served = await start_edge(body_deadline_seconds=0.1)
        answer = await served.exchange(head("content-length: 1000") + b"{")
        assert await served.alive()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert not daemon.entered.is_set()


async def test_bodies_in_flight_share_a_budget(start_edge: Start, daemon: MemoryDaemon) -> None:
    """The second is put off, not lost; and what the first took is given back."""
    daemon.hold = trio.Event()
    with trio.fail_after(30):
        served = await start_edge(max_body_bytes=1000, total_body_bytes=1500)
        async with (
            httpx.AsyncClient(verify=NO_TLS, timeout=30) as client,
            trio.open_nursery() as nursery,
        ):
            post = partial(client.post, f"{served.url}/hook", content=b"x" * 1000)
            nursery.start_soon(post)
            await daemon.entered.wait()
            refused = await post()
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "2"
            daemon.hold.set()
            await daemon.done_once.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert (await post()).status_code == 200
    assert len(daemon.stored) == 2


async def test_a_refused_body_gives_its_budget_back(start_edge: Start) -> None:
    with trio.fail_after(30):
        served = await start_edge(
            max_body_bytes=1000, total_body_bytes=1000, body_deadline_seconds=0.1
        )
        for _ in range(3):
            stalled = await served.exchange(head("content-length: 900"))
            assert stalled.startswith(b"HTTP/1.1 408 ")
        async with await served.connect() as stream:
            await stream.send_all(head("content-length: 900"))
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.post(f"{served.url}/hook", content=b"x" * 1000)
    assert answer.status_code == 200


async def test_a_client_that_leaves_in_its_body_stores_nothing(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        async with await served.connect() as stream:
            await stream.send_all(head("content-length: 1000") + BODY)
            await stream.send_eof()
            assert await served.alive()
        assert await served.alive()
    assert not daemon.entered.is_set()
    assert log.lines == []


async def test_a_client_that_leaves_after_its_body_does_not_stop_the_store(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    daemon.hold = trio.Event()
    with trio.fail_after(30):
        served = await start_edge()
        async with await served.connect() as stream:
            await stream.send_all(head(f"content-length: {len(BODY)}") + BODY)
            await daemon.entered.wait()
        await trio.testing.wait_all_tasks_blocked()
        daemon.hold.set()
        await daemon.done_once.wait()
    assert daemon.stored == [(BODY, "")]


async def test_a_client_may_wait_for_100_continue(start_edge: Start) -> None:
    with trio.fail_after(30):
        served = await start_edge()
        async with await served.connect() as stream:
            await stream.send_all(head(f"content-length: {len(BODY)}", "expect: 100-continue"))
            assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(BODY)
            assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_large_body_arrives_whole(start_edge: Start, daemon: MemoryDaemon) -> None:
    body = json.dumps({"messages": ["x" * 1000] * 5000}).encode()
    with trio.fail_after(30):
        served = await start_edge()
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
            answer = await client.post(f"{served.url}/hook/messages", content=body)
    assert answer.status_code == 200
    assert daemon.stored == [(body, "messages.post")]


@given(st.binary(), st.lists(st.binary(min_size=1), min_size=1))
def test_any_header_bytes_are_compared_without_a_crash(value: bytes, secrets: list[bytes]) -> None:
    has_bearer([(b"authorization", value)], secrets)


@given(st.text(), st.sampled_from(["POST", "DELETE"]))
def test_an_event_has_a_type_and_a_method_or_is_empty(path: str, method: str) -> None:
    event = path_event(method, "/hook/" + path)
    assert event is None or not event or len(event.split(".")) >= 2
