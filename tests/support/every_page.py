"""Pictures of every page, to be looked at: ``python -m support.every_page FOLDER``.

The afternoon of `support.pictures` is played; then each page is shown in both languages, both
themes and two widths, 1280 and 360 pixels. It prints what is wider than its window.
"""

import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import httpx
import trio
from playwright.sync_api import Browser, Page, sync_playwright

from support.chromium import launch
from support.compared import plant_comparison
from support.pictures import NARROW, VARIABLES, WIDE, going_on, make_yesterday, play
from support.plain import NO_TLS
from support.stand import ADMIN_TOKEN, Stand, open_stand

PAGES = {
    "overview": "",
    "chats": "/chats",
    "waiting": "/chats?state=with_agent",
    "resolved": "/chats?state=idle",
    "found": "/chats?q=hotel",
    "nothing": "/chats?q=zzzz",
    "work": "/work",
    "figures": "/figures",
    "topics": "/figures?by=topic",
    "comparisons": "/comparisons",
    "comparison": "/comparisons/1",
    "texts": "/texts",
    "instructions": "/texts/main/instructions",
    "apology": "/texts/main/apology",
    "log": "/log",
    "account": "/account",
    "accounts": "/accounts",
    "answers": "/answers",
    "labels": "/labels",
    "phone": "/phone",
    "missing": "/nope",
}
CHATS = ("Laura", "Camila", "Hugo", "Mateo", "Andr", "Sof", "Emma")
SETTLED_MS = 700
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def fill(stand: Stand) -> None:
    """Add what is made in the dashboard itself, and a comparison."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Origin": stand.url}
    with httpx.Client(base_url=stand.url, headers=headers, timeout=60, verify=NO_TLS) as client:
        account = {"name": "María Ruiz", "role": "agent", "password": "correct horse battery"}
        client.post("/dashboard/accounts", data=account)
        answer = {"name": "Horario", "text": "Abrimos de 7 a 22, {name}."}
        client.post("/dashboard/answers", data=answer)
        for chat in client.get("/dashboard/api/chats", params={"q": "Laura"}).json()["chats"]:
            path = f"/dashboard/api/chats/{chat['ref']}/notes"
            client.post(path, json={"text": "Pide factura.", "model": True, "action": "0" * 32})
            labels = {"add": ["Cotizado", "Nuevo cliente"]}
            client.post(f"/api/v1/chats/{chat['ref']}/labels", json=labels)
    plant_comparison(stand.site.data_dir, at=time.time() - 3600)


def show_all(browser: Browser, stand: Stand, folder: Path) -> None:
    """Show every page in each way."""
    for language, theme, size in product(("es", "en"), ("light", "dark"), (WIDE, NARROW)):
        kind = f"{language}-{theme}-{size['width']}"
        context = browser.new_context(
            base_url=stand.url,
            viewport=size,
            color_scheme="dark" if theme == "dark" else "light",
            locale=language,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto("/dashboard/login")
        keep(page, folder, f"login-{kind}")
        page.get_by_test_id("token").fill(ADMIN_TOKEN)
        page.get_by_test_id("sign-in").click()
        page.wait_for_url("**/dashboard")
        for name, path in PAGES.items():
            page.goto(f"/dashboard{path}")
            keep(page, folder, f"{name}-{kind}")
        for name in CHATS:
            page.goto(f"/dashboard/chats?q={name}")
            page.get_by_test_id("chat-row").first.click()
            page.get_by_test_id("bubbles").wait_for()
            keep(page, folder, f"chat-{name.lower()}-{kind}")
        for key, name in (("?", "keys"), ("Control+k", "find")):
            page.goto("/dashboard")
            page.locator("body").press(key)
            keep(page, folder, f"{name}-{kind}")
        context.close()


def keep(page: Page, folder: Path, name: str) -> None:
    """Take a picture of the whole page."""
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    if wider := page.evaluate(WIDER):
        sys.stderr.write(f"{name}: {wider} px too wide\n")


def main() -> None:
    """Take the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        open_stand(Path(home), seconds=1200) as stand,
        sync_playwright() as playwright,
    ):
        stand.start(**VARIABLES, RECADO_DASHBOARD__SAMPLE_SECONDS="1")
        play(stand)
        time.sleep(2)  # noqa: TID251 - a sample of the afternoon
        stand.kill()
        make_yesterday(stand.site.data_dir, now=time.time())
        stand.start(**VARIABLES)
        fill(stand)
        going_on(stand, trio.Event())
        with launch(playwright) as browser:
            show_all(browser, stand, folder)


if __name__ == "__main__":
    main()
