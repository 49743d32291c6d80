"""Accounts of the dashboard, and browsers that are signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from support.operator import recado_on
from support.plain import NO_TLS
from support.scenes import open_scene
from support.stage import Stage

TOKEN = "the-admin-token-of-the-tests"
PASSWORD = "correct horse battery"


@asynccontextmanager
async def open_desk(folder: Path, **changes: Any) -> AsyncIterator[Stage]:
    """A daemon with an admin token; María is an agent, Olga an operator, Rita reads."""
    async with open_scene(
        folder, web={"port": 0, "admin_token": SecretStr(TOKEN)}, **changes
    ) as stage:
        for name, role in (("María", "agent"), ("Olga", "operator"), ("Rita", "read")):
            data_dir = stage.settings.data_dir
            made = await recado_on(
                data_dir, "account", "add", name, "--role", role, answer=PASSWORD
            )
            assert made.exit_code == 0, made.stderr
        yield stage


@asynccontextmanager
async def open_browser(
    stage: Stage, name: str = "", secret: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, signed in as somebody if there is a secret."""
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=stage.url, headers={"Origin": stage.url}, timeout=30
    ) as browser:
        if secret:
            answer = await sign_in(browser, name, secret)
            assert answer.status_code == 303, answer.text
            # Browsers take it on loopback; httpx keeps Secure cookies from plain http.
            cookie = answer.headers["set-cookie"].partition(";")[0]
            browser.headers["Cookie"] = cookie
        yield browser


async def sign_in(browser: httpx.AsyncClient, name: str, secret: str) -> httpx.Response:
    fields = {"name": name, "token": secret}
    return await browser.post("/dashboard/login", data=fields)
