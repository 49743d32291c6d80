"""Accounts of the dashboard: signing in by name, what each role may do, and leaving everywhere."""

import re
from pathlib import Path

import httpx
import pytest
from quart_trio import QuartTrio
from support.accounts import PASSWORD, TOKEN, open_browser, open_desk, sign_in
from support.dashboard import ref_of
from support.edge import MemoryDaemon, MemoryLog, Start
from support.operator import recado_on
from support.plain import NO_TLS
from support.rows import rows
from support.stage import LAURA, Stage

from daemon.domain.roles import AccessRole
from daemon.http.access import FREE_ATTEMPTS, Access
from daemon.http.dashboard.dashboard import register_dashboard
from daemon.http.dashboard.guard import Guard
from daemon.http.dashboard.routes import NEEDED, PUBLIC, may_visit
from daemon.http.request_context import EdgeSettings

CLICK = "0123456789-click"


def actors(stage: Stage) -> list[tuple[str, str]]:
    found = rows(stage.settings.data_dir, "audit", "actor, action", order="id")
    return [(row["actor"], row["action"]) for row in found]


async def test_somebody_signs_in_by_name_and_their_name_is_on_what_they_do(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, "maría", PASSWORD) as maria:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        ref = await ref_of(maria, "Laura")
        page = (await maria.get(f"/dashboard/chats/{ref}")).text
        assert "Como María." in page
        assert 'data-testid="agent"' not in page
        sent = {"type": "text", "text": "Ya te ayudo", "agent": "Another"}
        assert (await maria.post(f"/api/v1/chats/{ref}/messages", json=sent)).is_success
        await stage.gateway.wait_sent(LAURA, 2)
        bubbles = (await maria.get(f"/dashboard/api/chats/{ref}/bubbles")).json()["bubbles"]
        assert bubbles[-1]["name"] == "María"
        assert ("account María", "login") in actors(stage)
        assert ("account María", "send") in actors(stage)


async def test_a_wrong_password_an_unknown_name_and_a_disabled_account_say_the_same(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage) as browser:
        await recado_on(stage.settings.data_dir, "account", "disable", "Rita")
        pages = [
            await sign_in(browser, name, secret)
            for name, secret in (("María", TOKEN), ("Nobody", PASSWORD), ("Rita", PASSWORD))
        ]
        assert [page.status_code for page in pages] == [401, 401, 401]
        faults = [re.findall(r'data-testid="fault">([^<]*)<', page.text) for page in pages]
        assert faults == [["El nombre o la contraseña no son correctos."]] * 3
        assert "set-cookie" not in pages[0].headers
        late = [await sign_in(browser, "María", "guess") for _ in range(FREE_ATTEMPTS)]
        assert late[-1].status_code == 429
        assert (await sign_in(browser, "María", PASSWORD)).status_code == 303


async def test_the_admin_token_signs_in_beside_the_accounts(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, "", TOKEN) as admin:
        assert (await admin.get("/dashboard/accounts")).status_code == 200
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with open_browser(stage) as machine:
            answer = await machine.get("/dashboard/api/work", headers=bearer)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "read", "write", "run"),
    [("Rita", 200, 403, 403), ("María", 200, 200, 403), ("Olga", 200, 200, 200)],
)
async def test_each_role_may_do_its_part(
    tmp_path: Path, name: str, read: int, write: int, run: int
) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, name, PASSWORD) as browser:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        ref = await ref_of(browser, "Laura")
        page = await browser.get(f"/dashboard/chats/{ref}")
        assert page.status_code == read
        assert ('data-testid="composer"' in page.text) == (write == 200)
        assert ('data-testid="forget"' in page.text) == (run == 200)
        assert ('data-testid="nav-work"' in page.text) == (run == 200)
        done = await browser.post(f"/dashboard/api/chats/{ref}/pause", json={})
        assert done.status_code == write
        called = await browser.post(f"/api/v1/chats/{ref}/resume", json={})
        assert (called.status_code == 403) == (write == 403)
        shown = await browser.post("/dashboard/api/reveal", json={"ref": ref})
        assert shown.status_code == write
        assert (await browser.get("/dashboard/api/work")).status_code == run
        assert (await browser.get("/dashboard/work")).status_code == run
        assert (await browser.get("/dashboard/accounts")).status_code == run
        erased = await browser.post(f"/api/v1/chats/{ref}/forget", json={"confirm": "4567"})
        assert erased.status_code == run


async def test_an_operator_adds_accounts_and_changes_them(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, "Olga", PASSWORD) as olga:
        new = {"name": "Jorge", "role": "read", "password": PASSWORD}
        assert (await olga.post("/dashboard/accounts", data=new)).status_code == 303
        again = await olga.post("/dashboard/accounts", data=new)
        assert (again.status_code, "Ya hay una cuenta" in again.text) == (400, True)
        short = await olga.post("/dashboard/accounts", data={**new, "name": "X", "password": "x"})
        assert short.status_code == 400
        (jorge,) = rows(stage.settings.data_dir, "accounts", "id", where={"name": "Jorge"})
        path = f"/dashboard/accounts/{jorge['id']}"
        async with open_browser(stage, "Jorge", PASSWORD) as browser:
            assert (await browser.get("/dashboard/work")).status_code == 403
            changed = await olga.post(f"{path}/role", data={"role": "operator"})
            assert changed.status_code == 303
            assert (await browser.get("/dashboard/work")).status_code == 200
            assert (await olga.post(f"{path}/disable")).status_code == 303
            assert (await browser.get("/dashboard")).status_code == 302
        assert (await olga.post(f"{path}/role", data={"role": "root"})).status_code == 400
        assert (await olga.post("/dashboard/accounts/999/disable")).status_code == 404
        assert ("account Olga", "account disable") in actors(stage)


async def test_somebody_changes_their_password_and_leaves_everywhere(tmp_path: Path) -> None:
    async with (
        open_desk(tmp_path) as stage,
        open_browser(stage, "María", PASSWORD) as here,
        open_browser(stage, "María", PASSWORD) as there,
    ):
        wrong = {"now": "no", "password": "another password"}
        assert (await here.post("/dashboard/account/password", data=wrong)).status_code == 400
        right = {**wrong, "now": PASSWORD}
        assert (await here.post("/dashboard/account/password", data=right)).status_code == 303
        assert (await there.get("/dashboard")).status_code == 302
        async with open_browser(stage, "María", "another password") as again:
            assert (await again.post("/dashboard/account/sessions")).status_code == 303
            assert (await again.get("/dashboard")).status_code == 302
        assert actors(stage)[-1] == ("account María", "sign out everywhere")


async def test_language_and_time_zone_are_the_accounts(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as stage, open_browser(stage, "María", PASSWORD) as maria:
        chosen = {"language": "en", "zone": "Asia/Tokyo"}
        assert (await maria.post("/dashboard/account", data=chosen)).status_code == 303
        page = (await maria.get("/dashboard")).text
        assert '<html lang="en"' in page
        assert 'data-zone="Asia/Tokyo"' in page
        assert (await maria.post("/dashboard/preferences", data={"language": "es"})).is_redirect
        page = (await maria.get("/dashboard/account")).text
        assert '<html lang="es"' in page
        assert "Asia/Tokyo" in page
        for wrong in ({"language": "xx"}, {"zone": "Nowhere/City"}):
            assert (await maria.post("/dashboard/account", data=wrong)).status_code == 400


async def test_without_accounts_the_login_asks_for_the_token_alone(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN)
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
        page = (await client.get(f"{served.url}/dashboard/login")).text
    assert 'data-testid="name"' not in page


def test_every_route_of_the_dashboard_has_its_role(daemon: MemoryDaemon, log: MemoryLog) -> None:
    app = QuartTrio("routes")
    settings = EdgeSettings(environment="test", oidc_issuer="https://id.example")
    access = Access(daemon.state, log)
    register_dashboard(app, daemon, settings, log, access, Guard(daemon, settings, access))
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/dashboard")}
    assert sorted(rules - PUBLIC) == sorted(NEEDED)
    assert rules >= PUBLIC


def test_what_is_not_in_the_table_is_the_operators() -> None:
    assert not may_visit(AccessRole.AGENT, "/dashboard/new")
    assert not may_visit(AccessRole.AGENT, None)
    assert may_visit(AccessRole.OPERATOR, None)
