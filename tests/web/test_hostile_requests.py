"""Requests that no browser sends are refused; none of them is a fault of the daemon.

Each stage of the scenes ends with a look at the log: an unexpected error would fail the test.
"""

from pathlib import Path

import httpx
import pytest
import trio
from support.dashboard import open_browser, ref_of
from support.scenes import open_scene
from support.stage import LAURA, Stage

JSON = {"Content-Type": "application/json"}
UNREADABLE = (
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"ref":' * 100_000,
    b'{"ref": "\\ud800", "event": 1, "chat": "\\udc00", "text": "\\ud800"}',
    b'{"event": ' + b"9" * 5_000 + b"}",
    b'{"event": NaN}',
    b"",
)
"""No UTF-8, too deep, half a character, a number without end, no JSON."""


async def answered(stage: Stage, browser: httpx.AsyncClient) -> str:
    """The public name of a chat with an answer in it."""
    await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    return await ref_of(browser, "Laura")


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_a_body_that_cannot_be_read_has_no_fields(tmp_path: Path, body: bytes) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        with trio.fail_after(30):
            ref = await answered(stage, browser)
            statuses = {
                path: (await browser.post(path, content=body, headers=JSON)).status_code
                for path in (
                    "/api/v1/dead-turns/replay",
                    f"/api/v1/chats/{ref}/labels",
                    "/dashboard/api/reveal",
                    f"/api/v1/chats/{ref}/messages",
                    f"/api/v1/chats/{ref}/forget",
                    f"/dashboard/api/chats/{ref}/notes",
                    "/takeover/pause",
                    "/takeover/resume",
                )
            }
        assert set(statuses.values()) <= {400, 404, 409, 422}, statuses


async def test_an_origin_that_is_no_address_is_a_foreign_one(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        for path in (
            "/dashboard/login",
            "/dashboard/preferences",
            "/api/v1/failed-messages/1/drop",
        ):
            for origin in ("http://[", "http://[::1", "null", "//"):
                answer = await browser.post(path, headers={"Origin": origin})
                assert answer.status_code == 403, (path, origin)


@pytest.mark.parametrize("folder", ["/audio", "/dashboard/media"])
async def test_a_name_longer_than_a_file_can_have_is_not_found(tmp_path: Path, folder: str) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        for length in (300, 5_000):
            answer = await browser.get(f"{folder}/voice_1_{'9' * length}.ogg")
            assert answer.status_code == 404


async def test_a_number_without_end_names_no_send(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        for digits in ("9" * 5_000, "9" * 30, "0"):
            answer = await browser.post(f"/api/v1/failed-messages/{digits}/send-again")
            assert answer.status_code == 404
