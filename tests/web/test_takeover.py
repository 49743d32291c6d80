"""Pausing and resuming a chat over HTTP, and marking as handled what waits there."""

import pytest
from support.edge import MemoryDaemon, MemoryLog

from daemon.http.access import Access
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings

TOKEN = "an-admin-token-of-some-length"


async def post(daemon: MemoryDaemon, path: str, body: object, token: str = TOKEN) -> int:
    settings, log = EdgeSettings(environment="production", admin_token=TOKEN), MemoryLog()
    client = create_pages(
        daemon, settings, log, Access(daemon.state, log, audit=daemon.audit)
    ).test_client()
    response = await client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
    return response.status_code


async def test_pause_and_resume_reach_the_daemon() -> None:
    daemon = MemoryDaemon()
    assert await post(daemon, "/takeover/pause", {"chat": "573001234567", "minutes": 1.5}) == 200
    assert await post(daemon, "/takeover/pause", {"chat": "573001234567"}) == 200
    assert await post(daemon, "/takeover/resume", {"chat": "573001234567"}) == 200
    assert daemon.pauses == [("573001234567", 1.5), ("573001234567", None), ("573001234567", 0)]
    assert {actor.name for actor in daemon.actors} == {"token admin"}


@pytest.mark.parametrize(
    "body", [{}, [], {"chat": ""}, {"chat": 1}, {"chat": "5730", "minutes": "x"},
             {"chat": "5730", "minutes": 0}, {"chat": "5730", "minutes": True}]
)  # fmt: skip
async def test_bad_bodies_are_refused(body: object) -> None:
    daemon = MemoryDaemon()
    assert await post(daemon, "/takeover/pause", body) == 400
    assert daemon.pauses == []


async def test_done_reaches_the_daemon() -> None:
    daemon = MemoryDaemon()
    assert await post(daemon, "/takeover/done", {"chat": "573001234567"}) == 200
    assert await post(daemon, "/takeover/done", {"chat": 1}) == 400
    assert await post(daemon, "/takeover/done", {"chat": "573001234567"}, token="wrong") == 401
    assert daemon.marked == ["573001234567"]


@pytest.mark.parametrize("verb", ["pause", "resume", "done"])
async def test_an_unknown_chat_is_not_found(verb: str) -> None:
    assert await post(MemoryDaemon(), f"/takeover/{verb}", {"chat": "unknown"}) == 404


async def test_strangers_are_refused() -> None:
    daemon = MemoryDaemon()
    assert await post(daemon, "/takeover/pause", {"chat": "573001234567"}, token="wrong") == 401
    assert daemon.pauses == []
