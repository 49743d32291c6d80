"""Wrong secrets cost time, are counted and written down; the right one is always taken."""

from typing import Any

import httpx
import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start
from support.plain import NO_TLS

from daemon.domain.audit_chain import Actor
from daemon.errors import StoreUnavailable
from daemon.http.access import FREE_ATTEMPTS, MOST_AUDITED, MOST_OF_ONE

SECRET = "a-webhook-secret"
TOKEN = "the-admin-token"
OTHER, MINE = "198.51.100.7", "203.0.113.9"


async def ask(served: Served, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
        return await client.request(method, served.url + path, **options)


async def hook(served: Served, secret: str, client: str = "") -> int:
    """Call the webhook on a connection of its own; gives the status."""
    headers = {"Authorization": f"Bearer {secret}"} | _from(client)
    return (await ask(served, "POST", "/hook", json={}, headers=headers)).status_code


async def metrics(served: Served, token: str, client: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} | _from(client)
    return (await ask(served, "GET", "/metrics", headers=headers)).status_code


async def sign_in(served: Served, token: str, client: str = "") -> int:
    headers = {"Origin": served.url} | _from(client)
    answer = await ask(served, "POST", "/dashboard/login", data={"token": token}, headers=headers)
    return answer.status_code


def _from(client: str) -> dict[str, str]:
    return {"X-Forwarded-For": client} if client else {}


def audited(daemon: MemoryDaemon) -> list[tuple[str, str, str]]:
    """The rows of the audit: who, from where, what."""
    return [(by.name, by.address, action) for by, action, *_ in daemon.audited]


REFUSED = {
    "webhook": [],
    "token": [("anybody", OTHER, "token refused")],
    "login": [("anybody", OTHER, "login failed")],
}
WAYS = {"webhook": (hook, SECRET), "token": (metrics, TOKEN), "login": (sign_in, TOKEN)}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Any:
    name: str = request.param
    return name, *WAYS[name]


async def test_the_wrong_one_is_logged_and_counted_with_the_address(
    start_edge: Start, way: Any, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    what, call, right = way
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN, proxies=["127.0.0.1"])
    assert await call(served, "wrong-secret", OTHER) == 401
    assert daemon.refused == [what]
    assert ("a wrong secret was refused", {"what": what, "address": OTHER}) in log.of("warning")
    assert "wrong-secret" not in repr(log.lines)
    assert audited(daemon) == REFUSED[what]
    assert await call(served, right, MINE) in {200, 303}
    assert daemon.refused == [what]


async def test_a_sign_in_is_logged_and_audited_with_the_address(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    served = await start_edge(admin_token=TOKEN, proxies=["127.0.0.1"])
    assert await sign_in(served, TOKEN, MINE) == 303
    ((actor, action, *_),) = daemon.audited
    assert (action, actor.address) == ("login", MINE)
    assert actor.name.startswith("session ")
    assert log.of("info") == [("signed in", {"address": MINE})]


async def test_a_missing_secret_is_no_guess(start_edge: Start, daemon: MemoryDaemon) -> None:
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN)
    assert (await ask(served, "POST", "/hook", json={})).status_code == 401
    assert (await ask(served, "GET", "/metrics")).status_code == 401
    assert daemon.refused == []


async def test_guessing_becomes_slow_and_the_right_one_is_never_refused(
    start_edge: Start, way: Any, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither from elsewhere, where it is not slow either, nor from the guesser's own address."""
    _, call, right = way
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN, proxies=["127.0.0.1"])
    for _ in range(FREE_ATTEMPTS):
        await call(served, "wrong", OTHER)
    assert autojump_clock.current_time() < 1
    for _ in range(40):
        assert await call(served, "wrong", OTHER) in {401, 429}
    spent = autojump_clock.current_time()
    assert spent > 30
    assert await call(served, right, MINE) in {200, 303}
    assert autojump_clock.current_time() - spent < 1
    assert await call(served, right, OTHER) in {200, 303}


async def test_an_address_with_a_recent_correct_secret_is_not_held_up(
    start_edge: Start, autojump_clock: trio.testing.MockClock
) -> None:
    """Behind a proxy that nobody has named, guesses of strangers delay no webhook."""
    served = await start_edge(webhook_secrets=(SECRET,))
    assert await hook(served, SECRET) == 200
    for _ in range(30):
        assert await hook(served, "wrong") == 401
    began = autojump_clock.current_time()
    assert began > 10
    assert await hook(served, SECRET) == 200
    assert autojump_clock.current_time() - began < 1


async def test_each_kind_and_address_is_audited_but_no_flood_of_one(
    start_edge: Start, daemon: MemoryDaemon, autojump_clock: trio.testing.MockClock
) -> None:
    assert autojump_clock.rate == 0  # nobody is held up in earnest
    served = await start_edge(webhook_secrets=(SECRET,), admin_token=TOKEN, proxies=["127.0.0.1"])
    for _ in range(10):
        await hook(served, "wrong", OTHER)
    await sign_in(served, "wrong", OTHER)
    for _ in range(10):
        await metrics(served, "wrong", OTHER)
    await metrics(served, "wrong", MINE)
    assert audited(daemon) == [
        ("anybody", OTHER, "login failed"),
        *[("anybody", OTHER, "token refused")] * (MOST_OF_ONE - 1),
        ("anybody", MINE, "token refused"),
    ]


async def test_a_flood_of_wrong_tokens_does_not_fill_the_audit(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge(admin_token=TOKEN, proxies=["127.0.0.1"])
    for number in range(MOST_AUDITED + 10):
        await metrics(served, "wrong", f"198.51.100.{number}")
    assert len(daemon.audited) == MOST_AUDITED


async def test_logins_fail_cleanly_while_the_audit_cannot_be_written(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(by: Actor, action: str) -> None:
        raise StoreUnavailable(f"{action} by {by}")

    monkeypatch.setattr(daemon, "audit", fail)
    served = await start_edge(admin_token=TOKEN)
    assert await metrics(served, "wrong") == 401
    assert await metrics(served, TOKEN) == 200
    assert await sign_in(served, TOKEN) == 503
    assert not log.of("error")


async def test_held_up_requests_do_not_delay_the_stop(
    start_edge: Start, autojump_clock: trio.testing.MockClock
) -> None:
    served = await start_edge(webhook_secrets=(SECRET,))
    for _ in range(100):
        await hook(served, "wrong")
    began = autojump_clock.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hook, served, "wrong")
        await trio.testing.wait_all_tasks_blocked()
        served.stop.set()
        await served.ended.wait()
    assert autojump_clock.current_time() - began < 5


async def test_without_a_trusted_proxy_forwarded_addresses_are_ignored(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    served = await start_edge(webhook_secrets=(SECRET,))
    await hook(served, "wrong", OTHER)
    assert log.of("warning")[0][1]["address"] == "127.0.0.1"
    assert daemon.refused == ["webhook"]


async def test_an_open_dashboard_is_closed_to_clients_of_a_proxy(start_edge: Start) -> None:
    """The proxy is on this machine; whoever it asks for is not."""
    served = await start_edge(proxies=["127.0.0.1"])
    assert (await ask(served, "GET", "/dashboard")).status_code == 200
    answer = await ask(served, "GET", "/dashboard", headers=_from(OTHER))
    assert answer.status_code == 403
    spoofed = {"X-Forwarded-For": f"127.0.0.1, {OTHER}"}
    assert (await ask(served, "GET", "/dashboard", headers=spoofed)).status_code == 403
