"""Who gets into the dashboard, and what every answer of it carries."""

import re
from typing import Any

import httpx
import pytest
import trio
from support.edge import MemoryDaemon, MemoryLog, Served, Start
from support.plain import NO_TLS

from daemon.http.access import FREE_ATTEMPTS
from daemon.http.request_context import session_name

TOKEN = "the-admin-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGES = ("/dashboard", "/dashboard/log", "/dashboard/nowhere")
DATA = ("/dashboard/stats", "/dashboard/logs")
EVERYWHERE = (*PAGES, *DATA, "/dashboard/login", "/dashboard/static/shell.css")


async def ask(served: Served, method: str, path: str, **options: Any) -> httpx.Response:
    with trio.fail_after(30):
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
            return await client.request(method, served.url + path, **options)


def own(served: Served, **headers: str) -> dict[str, str]:
    """The headers of a form's POST from one of our pages."""
    return {"Origin": served.url, **headers}


async def sign_in(served: Served, token: str = TOKEN, following: str = "") -> httpx.Response:
    fields = {"token": token, "next": following}
    return await ask(served, "POST", "/dashboard/login", data=fields, headers=own(served))


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    value = answer.headers["set-cookie"].partition(";")[0]
    return {"Cookie": value}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_leads_a_stranger_to_the_login(start_edge: Start, path: str) -> None:
    answer = await ask(await start_edge(admin_token=TOKEN), "GET", f"{path}?a=1")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"/dashboard/login?next={path}%3Fa%3D1"


@pytest.mark.parametrize("path", DATA)
async def test_data_are_401_for_a_stranger(start_edge: Start, path: str) -> None:
    answer = await ask(await start_edge(admin_token=TOKEN), "GET", path)
    assert answer.status_code == 401
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["/dashboard", *DATA])
async def test_the_bearer_token_opens_every_route(start_edge: Start, path: str) -> None:
    served = await start_edge(admin_token=TOKEN)
    assert (await ask(served, "GET", path, headers=BEARER)).status_code == 200
    wrong = await ask(served, "GET", path, headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401


async def test_signing_in_gives_a_cookie_that_browsers_guard(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge(admin_token=TOKEN)
    answer = await sign_in(served, following="/dashboard/log?kind=message")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/log?kind=message")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-recado=")
    words = {word.strip() for word in cookie.split(";")}
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= words
    assert "Domain" not in cookie
    page = await ask(served, "GET", "/dashboard", headers=cookie_of(answer))
    assert page.status_code == 200
    value = cookie_of(answer)["Cookie"].partition("=")[2]
    assert list(daemon.watch.sessions.ends) == [session_name(value, TOKEN)]
    assert value not in daemon.watch.sessions.ends


async def test_a_session_ends_with_its_time_its_logout_or_its_token(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    served = await start_edge(admin_token=TOKEN, session_seconds=100)
    cookie = cookie_of(await sign_in(served))
    (name,) = daemon.watch.sessions.ends
    assert daemon.watch.sessions.ends[name] == daemon.now() + 100
    changed = await start_edge(admin_token="another-token", session_seconds=100)
    assert (await ask(changed, "GET", "/dashboard", headers=cookie)).status_code == 302
    daemon.watch.sessions.ends[name] = daemon.now() - 1
    assert (await ask(served, "GET", "/dashboard", headers=cookie)).status_code == 302
    daemon.watch.sessions.ends[name] = daemon.now() + 1
    out = await ask(served, "POST", "/dashboard/logout", headers=own(served, **cookie))
    assert out.headers["location"] == "/dashboard/login"
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert (await ask(served, "GET", "/dashboard", headers=cookie)).status_code == 302


async def test_a_wrong_token_is_refused_and_its_words_are_not_repeated(
    start_edge: Start, daemon: MemoryDaemon, log: MemoryLog
) -> None:
    answer = await sign_in(await start_edge(admin_token=TOKEN), "<script>wrong-token")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "wrong-token" not in answer.text
    assert "wrong-token" not in repr(log.lines)
    assert not daemon.watch.sessions.ends


async def test_a_guesser_must_wait_and_the_right_token_is_accepted(
    start_edge: Start,
) -> None:
    """Whoever shares the guesser's address is not locked out."""
    served = await start_edge(admin_token=TOKEN)
    for _ in range(FREE_ATTEMPTS):
        assert (await sign_in(served, "wrong")).status_code == 401
    answer = await sign_in(served, "wrong")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert (await sign_in(served)).status_code == 303


@pytest.mark.parametrize(
    "following",
    ["https://evil.example", "//evil.example", "/dashboard//evil", "/dashboard/\\evil", "/locks"],
)
async def test_the_login_leads_nowhere_else(start_edge: Start, following: str) -> None:
    answer = await sign_in(await start_edge(admin_token=TOKEN), following=following)
    assert answer.headers["location"] == "/dashboard"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_another_sites_post_is_refused(start_edge: Start, origin: str) -> None:
    served = await start_edge(admin_token=TOKEN)
    cookie = cookie_of(await sign_in(served))
    headers = {**cookie, "Origin": origin} if origin else cookie
    for path in ("/dashboard/logout", "/dashboard/api/reveal", "/dashboard/preferences"):
        answer = await ask(served, "POST", path, headers=headers)
        assert answer.status_code == 403
    assert (await ask(served, "GET", "/dashboard", headers=cookie)).status_code == 200


async def test_the_public_address_is_ours_too(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN, public_url="https://bot.example/hook")
    headers = {"Origin": "https://bot.example"}
    data = {"token": TOKEN}
    answer = await ask(served, "POST", "/dashboard/login", data=data, headers=headers)
    assert answer.status_code == 303


async def test_a_login_over_an_open_network_fails_with_the_reason(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN)
    headers = {"Origin": "http://10.0.0.7:8080", "Host": "10.0.0.7:8080"}
    data = {"token": TOKEN}
    answer = await ask(served, "POST", "/dashboard/login", data=data, headers=headers)
    assert answer.status_code == 400
    assert "https" in answer.text


async def test_without_a_token_it_is_open_with_a_banner(start_edge: Start) -> None:
    served = await start_edge()
    answer = await ask(served, "GET", "/dashboard")
    assert answer.status_code == 200
    assert 'data-testid="open-banner"' in answer.text
    assert (await ask(served, "GET", "/dashboard/login")).headers["location"] == "/dashboard"
    closed = await start_edge(admin_token=TOKEN)
    assert "open-banner" not in (await ask(closed, "GET", "/dashboard", headers=BEARER)).text


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.7:8080", "127.0.0.1.evil.example"])
async def test_an_open_dashboard_answers_names_of_this_machine_alone(
    start_edge: Start, host: str
) -> None:
    served = await start_edge()
    for path in ("/dashboard", "/dashboard/logs"):
        answer = await ask(served, "GET", path, headers={"Host": host})
        assert answer.status_code == 403


async def test_an_open_dashboard_takes_no_posts_of_other_sites(start_edge: Start) -> None:
    served = await start_edge()
    headers = {"Origin": "https://evil.example"}
    answer = await ask(served, "POST", "/dashboard/api/reveal", headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_every_answer_is_guarded_by_headers(start_edge: Start, path: str) -> None:
    served = await start_edge(admin_token=TOKEN)
    for headers in ({}, BEARER):
        answer = await ask(served, "GET", path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        stored = answer.headers["cache-control"]
        assert stored == ("no-cache" if "/static/" in path else "no-store")


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/log", "/dashboard/login"])
async def test_pages_have_no_inline_script_or_style_and_nothing_from_elsewhere(
    start_edge: Start, path: str
) -> None:
    page = (await ask(await start_edge(admin_token=TOKEN), "GET", path, headers=BEARER)).text
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    links = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert links
    assert [link for link in links if not link.startswith(("/dashboard", "#"))] == []


async def test_only_the_sandbox_may_show_its_phone_in_a_frame(start_edge: Start) -> None:
    plain = await start_edge()
    assert (await ask(plain, "GET", "/dashboard/phone")).status_code == 404
    sandbox = await start_edge(phone_url="http://127.0.0.1:8081")
    page = await ask(sandbox, "GET", "/dashboard/phone")
    assert 'src="http://127.0.0.1:8081/phone?lang=es"' in page.text
    assert "frame-src 'self' http://127.0.0.1:8081" in page.headers["content-security-policy"]


async def test_language_and_theme_are_remembered_by_the_browser(start_edge: Start) -> None:
    served = await start_edge(language="es")
    assert '<html lang="es" data-theme="auto"' in (await ask(served, "GET", "/dashboard")).text
    chosen = {"language": "en", "theme": "dark", "next": "/dashboard/log"}
    answer = await ask(served, "POST", "/dashboard/preferences", data=chosen, headers=own(served))
    assert answer.headers["location"] == "/dashboard/log"
    cookies = [cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie")]
    page = await ask(served, "GET", "/dashboard", headers={"Cookie": "; ".join(cookies)})
    assert '<html lang="en" data-theme="dark"' in page.text
    hostile = {"Cookie": 'recado-theme="><script>; recado-language=../../x'}
    page = await ask(served, "GET", "/dashboard", headers=hostile)
    assert '<html lang="es" data-theme="auto"' in page.text


async def test_the_language_is_the_browsers_until_somebody_chooses(start_edge: Start) -> None:
    served = await start_edge(language="es")
    for wanted, cookie, language in (
        ("en-GB,en;q=0.9,es;q=0.5", "", "en"),
        ("es-CO,es;q=0.9,en;q=0.5", "", "es"),
        ("fr-FR,en;q=0.5", "", "en"),
        ("fr-FR", "", "es"),
        ("en-GB", "recado-language=es", "es"),
    ):
        headers = {"Accept-Language": wanted, "Cookie": cookie}
        page = await ask(served, "GET", "/dashboard", headers=headers)
        assert f'<html lang="{language}"' in page.text, wanted


async def test_a_signed_in_operator_can_reveal_a_number(
    start_edge: Start, daemon: MemoryDaemon
) -> None:
    daemon.watch.numbers["abc"] = "+573001234567"
    served = await start_edge(admin_token=TOKEN)
    path = "/dashboard/api/reveal"
    assert (await ask(served, "POST", path, json={"ref": "abc"})).status_code == 401
    answer = await ask(served, "POST", path, json={"ref": "abc"}, headers=BEARER)
    assert answer.json() == {"number": "+573001234567"}
    for body in ({"ref": "x"}, {"ref": 7}, ["abc"]):
        missed = await ask(served, "POST", path, json=body, headers=BEARER)
        assert missed.status_code == 404


async def test_assets_are_asked_for_again_only_when_they_have_changed(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN)
    first = await ask(served, "GET", "/dashboard/static/shell.css")
    tag = {"If-None-Match": first.headers["etag"]}
    again = await ask(served, "GET", "/dashboard/static/shell.css", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/dashboard/static/../shell.py", "/dashboard/static/nothing.css"):
        assert (await ask(served, "GET", path)).status_code in {302, 404}


async def test_pages_name_assets_that_browsers_keep(start_edge: Start) -> None:
    served = await start_edge(admin_token=TOKEN)
    page = await ask(served, "GET", "/dashboard/login")
    found = re.search(r'href="(/dashboard/static/\w{12}/shell\.css)"', page.text)
    assert found is not None
    kept = await ask(served, "GET", found[1])
    assert "immutable" in kept.headers["cache-control"]
    plain = await ask(served, "GET", "/dashboard/static/shell.css")
    assert kept.content == plain.content
    old = found[1].replace(found[1].split("/")[3], "0" * 12)
    assert (await ask(served, "GET", old)).status_code == 404
