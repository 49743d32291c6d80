"""Signing in with an OpenID Connect provider, against a real one on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jwk
from pydantic import SecretStr
from support.edge import Start
from support.oidc_server import CLIENT, SECRET, OidcServer
from support.operator import recado_on
from support.plain import NO_TLS
from support.rows import rows
from support.scenes import open_scene
from support.stage import Stage

MARIA = {"email": "Maria@Hotel.example", "email_verified": True}


@asynccontextmanager
async def open_desk(folder: Path, start: Start) -> AsyncIterator[tuple[Stage, OidcServer]]:
    """A daemon that trusts a provider; María's account has her address."""
    provider = OidcServer(person=dict(MARIA))
    provider.issuer = (await start(provider.app)).url
    dashboard = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
    }
    web = {"port": 0, "admin_token": SecretStr("the-admin-token-of-the-tests")}
    async with open_scene(folder, web=web, dashboard=dashboard) as stage:
        provider.redirect_uri = f"{stage.url}/dashboard/login/oidc/done"
        made = await recado_on(
            stage.settings.data_dir, "account", "add", "María", "--email", "maria@hotel.example"
        )
        assert made.exit_code == 0, made.stderr
        yield stage, provider


async def come_back(stage: Stage, **changes: str) -> httpx.Response:
    """Go to the provider and back, as a browser does."""
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
        gone = await client.get(f"{stage.url}/dashboard/login/oidc?next=/dashboard/log")
        assert gone.status_code == 302, gone.text
        cookie = gone.headers["set-cookie"]
        assert cookie.startswith("__Host-recado-oidc=")
        assert "SameSite=Lax" in cookie
        back = await client.get(gone.headers["location"])
        address = httpx.URL(back.headers["location"]).copy_merge_params(changes)
        return await client.get(address, headers={"Cookie": cookie.partition(";")[0]})


def sessions(stage: Stage) -> list[dict[str, Any]]:
    return rows(stage.settings.data_dir, "dashboard_sessions")


async def test_an_account_signs_in_by_its_verified_address(tmp_path: Path, start: Start) -> None:
    async with open_desk(tmp_path, start) as (stage, _):
        answer = await come_back(stage)
        assert answer.status_code == 200, answer.text
        assert 'content="0; url=/dashboard/log"' in answer.text
        cookies = answer.headers.get_list("set-cookie")
        (session,) = [one for one in cookies if one.startswith("__Host-recado=")]
        assert "SameSite=Strict" in session
        headers = {"Cookie": session.partition(";")[0]}
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as browser:
            page = await browser.get("/dashboard/account", headers=headers)
            assert "María" in page.text
            login = await browser.get("/dashboard/login")
            assert 'data-testid="oidc"' in login.text
        audited = rows(stage.settings.data_dir, "audit", order="id")
        assert (audited[-1]["actor"], audited[-1]["action"]) == ("account María", "login")


@pytest.mark.parametrize(
    ("person", "status"),
    [
        ({}, 401),
        ({"email": "maria@hotel.example", "email_verified": False}, 401),
        ({"email": "maria@hotel.example"}, 401),
        ({"email": "other@hotel.example", "email_verified": True}, 403),
    ],
)
async def test_nobody_else_signs_in(
    tmp_path: Path, start: Start, person: dict[str, Any], status: int
) -> None:
    async with open_desk(tmp_path, start) as (stage, provider):
        provider.person = person
        answer = await come_back(stage)
        assert answer.status_code == status
        assert 'data-testid="fault"' in answer.text
        assert sessions(stage) == []


@pytest.mark.parametrize(
    "wrong",
    [{"aud": "another"}, {"iss": "http://127.0.0.1:1"}, {"nonce": "another"}, {"exp": 1}],
)
async def test_a_wrong_token_is_refused(
    tmp_path: Path, start: Start, wrong: dict[str, Any]
) -> None:
    async with open_desk(tmp_path, start) as (stage, provider):
        provider.wrong = wrong
        assert (await come_back(stage)).status_code == 401
        assert sessions(stage) == []


async def test_a_token_of_another_key_or_another_attempt_is_refused(
    tmp_path: Path, start: Start
) -> None:
    async with open_desk(tmp_path, start) as (stage, provider):
        provider.signs_with = jwk.RSAKey.generate_key(2048)
        assert (await come_back(stage)).status_code == 401
        provider.signs_with = None
        assert (await come_back(stage, state="another")).status_code == 401
        assert (await come_back(stage, code="another")).status_code == 401
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as stranger:
            answer = await stranger.get("/dashboard/login/oidc/done?code=x&state=y")
            assert answer.status_code == 401
        await recado_on(stage.settings.data_dir, "account", "disable", "María")
        assert (await come_back(stage)).status_code == 403
        assert sessions(stage) == []


async def test_a_provider_that_does_not_answer_is_said(tmp_path: Path, start: Start) -> None:
    async with open_desk(tmp_path, start) as (stage, provider):
        provider.issuer = "http://127.0.0.1:1"  # it names another than the configured one
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=20) as browser:
            answer = await browser.get("/dashboard/login/oidc")
            assert answer.status_code == 502
            assert urlsplit(str(answer.url)).path == "/dashboard/login/oidc"
