"""Who may call the API: tokens by role, the admin token, and pages of the dashboard."""

import json
from pathlib import Path
from typing import cast

from pydantic import SecretStr
from support.api import Client, announce_body, open_client, token_on
from support.edge import MemoryDaemon, MemoryLog
from support.operator import recado_on
from support.rows import rows, select
from support.scenes import QUICK_RULES
from support.stage import Stage, open_stage

from daemon.domain.roles import ACCESS_ROLES, AccessRole
from daemon.http.access import Access
from daemon.http.api.api import DESCRIPTION, api_routes, create_api
from daemon.http.api.routes import PREFIX, ApiRoute
from daemon.http.dashboard.guard import Guard
from daemon.http.pages import create_pages
from daemon.http.request_context import EdgeSettings
from daemon.ops.api_access import ApiAccess

ADMIN = "an-admin-token-of-a-test"


def all_routes() -> tuple[list[ApiRoute], set[tuple[str, str]]]:
    """The routes as the API declares them, and as the app has them under /api."""
    daemon, log, settings = MemoryDaemon(), MemoryLog(), EdgeSettings(environment="test")
    daemon.api = cast("ApiAccess", None)
    access = Access(daemon.state, log)
    api = api_routes(daemon, settings, access, Guard(daemon, settings, access))
    app = create_pages(daemon, settings, log, access)
    app.register_blueprint(create_api(api, log))
    rules = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    return api.all, rules


ROUTES, SERVED = all_routes()


def test_everything_under_api_is_a_route_with_a_role_or_the_description() -> None:
    declared = {(route.method, PREFIX + route.path) for route in ROUTES}
    assert declared | {("GET", DESCRIPTION)} == SERVED
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_what_changes_something_is_not_for_readers() -> None:
    readable = {(route.method, route.path) for route in ROUTES if route.role == AccessRole.READ}
    assert {method for method, _ in readable} == {"GET"}


def _asked(route: ApiRoute) -> str:
    """An address of a route that leads nowhere."""
    path = (
        route.path.replace("{ref}", "nobody")
        .replace("{id}", "1")
        .replace("{name}", "nothing")
        .replace("{turn}", "none")
        .replace("{number}", "none")
        .replace("{revision}", "1")
    )
    assert "{" not in path, path
    return path.removeprefix("/")


async def test_each_route_wants_its_role(tmp_path: Path) -> None:
    """Every role is tried on every route: those below are refused, those above are not."""
    web = {"admin_token": SecretStr(ADMIN)}
    async with open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage:
        async with open_client(stage) as nobody:
            for route in ROUTES:
                refused = await nobody.request(route.method, _asked(route))
                assert refused.status_code == 401, route
        for role in ACCESS_ROLES:
            await _try_all(stage, role)


async def _try_all(stage: Stage, role: AccessRole) -> None:
    async with open_client(stage, token_on(stage.settings.data_dir, str(role))) as api:
        for route in ROUTES:
            answer = await api.request(route.method, _asked(route))
            may = ACCESS_ROLES.index(role) >= ACCESS_ROLES.index(route.role)
            assert (answer.status_code == 403) != may, (role, route, answer.text)
            assert answer.status_code not in {401, 429, 500}, (role, route, answer.text)


async def test_a_revoked_token_is_refused_at_once(stage: Stage) -> None:
    data_dir = stage.settings.data_dir
    token = token_on(data_dir, "read")
    async with open_client(stage, token) as api:
        assert (await api.get("chats")).status_code == 200
        (row,) = rows(data_dir, "api_tokens")
        assert row["used_at"] > 0
        await recado_on(data_dir, "token", "revoke", row["name"])
        refused = await api.get("chats")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "token refused" in {action for (action,) in select(data_dir, "audit", "action")}
    assert token not in stage.log.getvalue()


async def test_with_an_admin_token_nothing_else_is_open(tmp_path: Path) -> None:
    web = {"admin_token": SecretStr(ADMIN)}
    async with open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage:
        async with open_client(stage) as nobody:
            assert (await nobody.get("chats")).status_code == 401
            assert (await nobody.get(f"{stage.url}{DESCRIPTION}")).status_code == 200
        async with open_client(stage, ADMIN) as admin:
            assert (await admin.get("chats")).status_code == 200
        token = token_on(stage.settings.data_dir, "operator")
        async with open_client(stage, token) as operator:  # the pages want the admin token
            assert (await operator.get("chats")).status_code == 200
            assert (await operator.get(f"{stage.url}/locks")).status_code == 401
            assert (await operator.get(f"{stage.url}/dashboard/stats")).status_code == 401


async def test_pages_of_other_sites_are_refused(tmp_path: Path) -> None:
    web = {"admin_token": SecretStr(ADMIN)}
    async with (
        open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage,
        open_client(stage) as browser,
    ):
        page = {"Origin": stage.url}
        login = f"{stage.url}/dashboard/login"
        signed_in = await browser.post(login, data={"token": ADMIN}, headers=page)
        assert signed_in.status_code == 303
        cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        own = await browser.post("chats/nobody/resume", headers=cookie | page)
        assert own.status_code == 404
        foreign = {"Origin": "https://evil.example"}
        refused = await browser.post("chats/nobody/resume", headers=cookie | foreign)
        assert refused.status_code == 403
        assert (await browser.post("chats/nobody/resume", headers=cookie)).status_code == 403
        assert (await browser.post("chats/nobody/resume", headers=page)).status_code == 401


async def test_a_browser_has_the_role_of_its_account(tmp_path: Path) -> None:
    web = {"admin_token": SecretStr(ADMIN)}
    async with open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage:
        for role in ("read", "agent"):
            name, data_dir = f"one who {role}s", stage.settings.data_dir
            made = await recado_on(data_dir, "account", "add", name, "--role", role, answer=ADMIN)
            assert made.exit_code == 0, made.stderr
            async with open_client(stage) as browser:
                page = {"Origin": stage.url}
                given = {"name": name, "token": ADMIN}
                login = f"{stage.url}/dashboard/login"
                signed_in = await browser.post(login, data=given, headers=page)
                assert signed_in.status_code == 303, signed_in.text
                page["Cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
                assert (await browser.get("chats", headers=page)).status_code == 200
                resumed = await browser.post("chats/nobody/resume", headers=page)
                assert resumed.status_code == (404 if role == "agent" else 403)
                replayed = await browser.post("dead-turns/replay", headers=page)
                assert replayed.status_code == 403


async def test_a_token_may_make_so_many_requests_a_minute(tmp_path: Path) -> None:
    web = {"api_requests_per_minute": 3}
    async with open_stage(tmp_path / "data", rules=QUICK_RULES, web=web) as stage:
        one, other = (token_on(stage.settings.data_dir, "read") for _ in range(2))
        async with open_client(stage, one) as api:
            with_limit = [await api.get("chats") for _ in range(8)]
        assert with_limit[0].status_code == 200
        refused = [answer for answer in with_limit if answer.status_code == 429]
        assert refused
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        async with open_client(stage, other) as api:
            assert (await api.get("chats")).status_code == 200


JSON = "application/json"
BODIES = [
    (b"{", JSON, 400),
    (b"\xff", JSON, 400),
    (b"[" * 100_000, JSON, 422),
    (b"{}", JSON, 422),
    (b'{"type": "text", "text": ""}', JSON, 422),
    (b'{"type": "text", "text": " "}', JSON, 422),
    (b'{"type": "text", "text": "a", "more": 1}', JSON, 422),
    (b'{"type": "song"}', JSON, 422),
    (b'{"type": "text", "text": "\\ud800"}', JSON, 400),
    (b"type=text", "application/x-www-form-urlencoded", 415),
]


async def test_bodies_that_cannot_be_used(stage: Stage, client: Client) -> None:
    async with client("agent") as api:
        for content, kind, status in BODIES:
            answer = await api.post(
                "chats/nobody/messages", content=content, headers={"Content-Type": kind}
            )
            assert answer.status_code == status, (content[:80], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(answer.content)["status"] == status
    token = token_on(stage.settings.data_dir, "agent")
    large = await announce_body(stage, token, "chats/nobody/messages", 2_000_000)
    assert large.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in large
    assert not stage.errors()
