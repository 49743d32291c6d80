"""How the dashboard is made: accessible, narrow and wide, light and dark, by keyboard, in bulk."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.axe import AXE, RULES, WIDE, look, violations
from support.compared import plant_comparison
from support.model_script import Step, call, say
from support.rows import insert, select
from support.simulators import Simulators
from support.stand import Stand

from daemon.sandbox.start import add_switches

NORA, DEAD, REFUSED = "573005550201", "573005550202", "573005550203"


@pytest.fixture(scope="module")
def nora(stand: Stand) -> str:
    """The page of a chat with a turn with a tool, a voice note, an edit, a reaction, an agent."""
    gateway = stand.site.gateway
    stand.script("contexto", call("get_conversation_context"), say("*Claro*, Nora."))
    person = stand.tell(gateway.contact, NORA, name="Nora")
    first = stand.ask(person.say, "contexto")
    answer = stand.wait_received(NORA, "Claro")
    stand.ask(person.edit, first, "el contexto, por favor")
    stand.ask(person.react, answer, "👍")
    stand.ask(gateway.agent_says, NORA, "Sigo yo, Nora.")
    stand.ask(person.send_voice)
    stand.ask(person.send_location)
    stand.script("perdido", Step(status=400, code="invalid_prompt", message="no"))
    stand.ask(gateway.customer_says, DEAD, "perdido", name="Perdido")
    stand.ask(gateway.wait_sent, DEAD)
    chat = f"{REFUSED}@s.whatsapp.net"
    fault = stand.tell(gateway.faults.add, operation="send", kind="status", status=400, chat=chat)
    stand.script("sin suerte", say("No llega."))
    stand.ask(gateway.customer_says, REFUSED, "sin suerte", name="Rechazada")
    stand.ask(fault.reached.wait)
    return "Nora"


@pytest.mark.parametrize(
    "path", ["", "log", "work", "phone", "texts", "account", "accounts", "nothing-here"]
)
def test_a_page_has_no_fault_that_axe_finds(page: Page, nora: str, path: str) -> None:
    assert nora
    page.goto(f"/dashboard/{path}".removesuffix("/"))
    page.locator("main *").first.wait_for()
    if path == "log":
        page.get_by_test_id("line").first.wait_for()
    look(page, path)


def test_comparisons_have_none(page: Page, nora: str, stand: Stand) -> None:
    assert nora
    plant_comparison(stand.site.data_dir)
    page.goto("/dashboard/comparisons")
    look(page, "comparisons")
    page.goto("/dashboard/comparisons/1?show=all")
    page.get_by_test_id("mark-new").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("marked")).to_have_count(1)
    expect(page.get_by_test_id("mark-new").first).to_have_attribute("aria-pressed", "true")
    look(page, "one comparison")


def test_the_conversations_have_none(page: Page, nora: str) -> None:
    page.goto("/dashboard/chats")
    look(page, "chats")
    page.set_viewport_size(WIDE)
    page.get_by_test_id("chat-row").filter(has_text=nora).click()
    expect(page.get_by_test_id("steps")).to_be_visible()
    page.get_by_test_id("earlier").locator("summary").click()
    look(page, "one chat")
    page.get_by_test_id("forget").click()
    expect(page.get_by_test_id("forget-dialog")).to_be_visible()
    look(page, "forget")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("forget-dialog")).to_be_hidden()


def test_a_refused_send_has_none(page: Page, nora: str) -> None:
    assert nora
    page.goto("/dashboard/chats?q=Rechazada")
    page.get_by_test_id("chat-row").click()
    expect(page.get_by_test_id("send-again")).to_be_visible()
    look(page, "refused")


def test_the_phones_switches_are_turned_beside_the_dashboard(page: Page, stand: Stand) -> None:
    """Nor has the phone with its panel a fault that axe finds; the kill switch says why not."""
    site = stand.site
    stand.tell(add_switches, Simulators(site.gateway, "", site.model, ""), {})
    page.goto("/dashboard/phone")
    phone = page.frame_locator("iframe")
    phone.locator(".open-panel").click()
    down = phone.locator("#control-model_down")
    for on in (True, False):
        down.click()
        expect(down).to_have_attribute("aria-checked", str(on).lower())
        expect(phone.locator("#faults-count")).to_have_text("1" if on else "")
        assert site.model.is_down == on
    expect(phone.locator("#control-kill")).to_have_attribute("aria-disabled", "true")
    expect(phone.locator("#control-kill")).to_contain_text("supervisor")
    (_, frame) = page.frames
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert violations(frame, RULES) == []


@pytest.mark.parametrize(("language", "hello"), [("es", "Hola"), ("en", "Hello")])
def test_the_phone_suggests_what_the_simulated_model_understands(
    page: Page, stand: Stand, language: str, hello: str
) -> None:
    """In the language of the page around it."""
    chosen: Any = {"name": "recado-language", "value": language, "url": stand.url}
    page.context.add_cookies([chosen])
    page.goto("/dashboard/phone")
    phone = page.frame_locator("iframe")
    contact = {"es": "Emma Carter", "en": "Sofía Rincón"}[language]  # each has written nothing yet
    phone.locator("#chats button", has_text=contact).click()
    suggestion = phone.locator(".suggestion").first
    words = suggestion.inner_text()
    assert words.startswith(hello)
    suggestion.click()
    expect(phone.get_by_test_id("log")).to_contain_text(words)
    expect(phone.locator(".suggestion")).to_have_count(0)
    expect(phone.locator("#model")).to_be_hidden()


def test_a_chat_opened_on_the_phone_has_nothing_unread(page: Page, stand: Stand, nora: str) -> None:
    page.goto("/dashboard/phone")
    phone = page.frame_locator("iframe")
    chats = phone.get_by_test_id("chats").locator("button")
    chats.filter(has_text="Perdido").click()
    stand.ask(stand.site.gateway.agent_says, NORA, "¿Algo más, Nora?")
    row = chats.filter(has_text=nora)
    expect(row.locator(".badge")).to_be_visible()
    row.click()
    expect(row.locator(".badge")).to_have_count(0)


def test_a_lost_connection_is_shown_accessibly(context: BrowserContext, page: Page) -> None:
    page.goto("/dashboard")
    expect(page.get_by_test_id("offline")).to_be_hidden()
    page.evaluate(AXE.axe_script)
    context.set_offline(True)
    page.evaluate("dispatchEvent(new Event('offline'))")  # Chromium tells it a moment too early
    expect(page.get_by_test_id("offline")).to_be_visible()
    look(page, "offline")


def test_the_login_has_none(browser: Browser, stand: Stand) -> None:
    context = browser.new_context(base_url=stand.url, locale="es-CO")
    page = context.new_page()
    page.goto("/dashboard/login")
    look(page, "login")
    context.close()


def test_empty_pages_in_english_have_none(context: BrowserContext, stand: Stand) -> None:
    url = f"{stand.url}/dashboard"
    context.add_cookies([{"name": "recado-language", "value": "en", "url": url}])
    page = context.new_page()
    page.goto("/dashboard/chats?q=nobody-is-called-so")
    expect(page.get_by_test_id("empty").first).to_contain_text("No matches")
    look(page, "nobody")
    page.goto("/dashboard/log?text=nobody-says-so")
    expect(page.get_by_test_id("nothing")).to_be_visible()
    look(page, "no lines")


FOCUS = """() => {
  const here = document.activeElement, style = getComputedStyle(here);
  if (here === document.body) return null;
  const box = here.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const player = here.matches("audio, video"); // which shows the focus of its parts
  return [here.dataset.testid || here.outerHTML.slice(0, 80), player || seen && box.width > 0];
}"""


def reached(page: Page) -> list[str]:
    """Tab through a page; everything that is met shows that it has the focus."""
    names: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        if found is None:
            break
        name, seen = found
        assert seen, f"{name} does not show its focus"
        names.append(name)
    return names


def test_everything_is_reached_by_keyboard(page: Page, nora: str) -> None:
    page.goto("/dashboard")
    names = reached(page)
    for wanted in (
        "nav-overview",
        "nav-chats",
        "nav-log",
        "theme",
        "language",
        "logout",
        "chart-messages",
    ):
        assert wanted in names
    page.goto("/dashboard/chats")
    page.keyboard.press("/")
    expect(page.get_by_test_id("search")).to_be_focused()
    page.keyboard.type(nora)
    # Until then the list may be that of a part of the word, and be renewed under the keys.
    found = re.compile(f"q={nora}(&|$)")
    expect(page.get_by_test_id("chat-row").first).to_have_attribute("href", found)
    expect(page.get_by_test_id("chat-row")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_test_id("chat-row")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chat-name")).to_have_text(nora)
    names = reached(page)
    for wanted in ("number", "resume", "add-label", "forget", "bubbles", "words", "turn-row"):
        assert wanted in names, wanted
    page.locator("body").press("Escape")
    expect(page).to_have_url(re.compile(r"/dashboard/chats(\?|$)"))
    page.keyboard.press("Alt+5")
    expect(page.get_by_test_id("lines")).to_be_visible()


def test_a_chat_a_page_and_an_action_are_found_by_keyboard(page: Page, nora: str) -> None:
    page.goto("/dashboard")
    page.locator("body").press("Control+k")
    expect(page.get_by_test_id("palette")).to_be_visible()
    look(page, "palette")
    page.set_viewport_size(WIDE)
    page.keyboard.type(nora.lower())
    expect(page.get_by_test_id("found").first).to_contain_text(nora)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chat-name")).to_have_text(nora)
    page.locator("body").press("Control+k")
    expect(page.get_by_test_id("palette")).to_be_visible()
    page.keyboard.type("registro")
    expect(page.get_by_test_id("found").first).to_contain_text("Registro")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("lines")).to_be_visible()
    page.locator("body").press("?")
    expect(page.get_by_test_id("keys")).to_contain_text("Buscar un chat")
    look(page, "keys")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("keys")).to_have_count(0)


def test_chats_are_filtered_by_day(page: Page, nora: str) -> None:
    page.goto("/dashboard/chats?since=2026-01-01")
    expect(page.get_by_test_id("chat-row").filter(has_text=nora)).to_be_visible()
    expect(page.get_by_test_id("since")).to_have_value("2026-01-01")
    page.get_by_test_id("since").fill("")
    page.get_by_test_id("until").fill("2020-01-01")
    page.get_by_test_id("until").press("Enter")
    expect(page.get_by_test_id("chat-row")).to_have_count(0)
    look(page, "filters")


def test_ten_thousand_lines_are_a_few_rows(page: Page, stand: Stand, nora: str) -> None:
    assert nora
    begun = time.time() - 20_000
    data_dir = stand.site.data_dir
    taken = {number for (number,) in select(data_dir, "log_lines", "id")}
    row = {"kind": "message", "level": "info"}
    lines = [
        row | {"id": n, "at": begun + n, "line": f"Nora: line {n}"}
        for n in range(1, 10_001)
        if n not in taken
    ]
    insert(data_dir, "log_lines", *lines)
    page.goto("/dashboard/log")
    page.get_by_test_id("line").first.wait_for()
    told = page.evaluate(
        """async () => {
          const view = document.querySelector("[data-lines]");
          const frame = () => new Promise(requestAnimationFrame);
          let most = 0;
          for (let turn = 0; turn < 600; turn++) {
            if (view.scrollTop < 4000) {
              const height = view.scrollHeight;
              if (height >= 9900 * 36) break;
              view.scrollTop = 0;
              const end = performance.now() + 60000;
              while (view.scrollHeight === height && performance.now() < end) await frame();
              view.scrollTop = 0;
              continue;
            }
            view.scrollTop -= 3000;
            await frame();
            most = Math.max(most, document.querySelectorAll(".line").length);
          }
          return { most, height: view.scrollHeight };
        }"""
    )
    assert told["height"] >= 9_900 * 36
    assert 0 < told["most"] < 80
