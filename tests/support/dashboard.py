"""The dashboard of a daemon on the stage, as a browser that is on this machine asks it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from support.plain import NO_TLS
from support.stage import Stage


@asynccontextmanager
async def open_browser(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends the origin of its page, as browsers do."""
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=stage.url, headers={"Origin": stage.url}, timeout=30
    ) as browser:
        yield browser


async def chats_of(browser: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """The list of conversations."""
    answer = await browser.get("/dashboard/api/chats", params=query)
    assert answer.status_code == 200, answer.text
    chats: list[dict[str, Any]] = answer.json()["chats"]
    return chats


async def ref_of(browser: httpx.AsyncClient, name: str) -> str:
    """The public name of a contact's chat."""
    (chat,) = [chat for chat in await chats_of(browser) if chat["name"] == name]
    return str(chat["ref"])


async def bubbles_of(browser: httpx.AsyncClient, ref: str, before: str = "") -> dict[str, Any]:
    """The bubbles of a chat."""
    answer = await browser.get(f"/dashboard/api/chats/{ref}/bubbles", params={"before": before})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def words_of(html: str) -> str:
    """The text of a page without its tags, blanks made one."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())
