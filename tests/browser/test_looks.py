"""What strangers' names, other scripts, small windows and refused sends do to the pages."""

from typing import Any

import pytest
import trio
from playwright.sync_api import BrowserContext, Locator, Page, expect
from support.model_script import Step, say
from support.stand import Stand

LONG, AMINA, EDITA, REFUSED, DROPPED, BUSY, SILENT = (
    f"57300555{number}" for number in range(3001, 3008)
)
LONG_NAME = "María Fernanda de los Ángeles Rodríguez-Echeverri y Castañeda de Villanueva"
BUSY_NAME = LONG_NAME.replace("María", "Lucía")
ARABIC = "مرحبا، هل لديكم غرفة لليلة واحدة؟"
NARROW: Any = {"width": 360, "height": 740}
MIDDLE: Any = {"width": 768, "height": 1024}
WIDE: Any = {"width": 1280, "height": 800}

LUMINANCE = """
const part = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((value) => part(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
"""
"""Relative luminance of an opaque colour (WCAG 2.2)."""


@pytest.fixture(scope="module")
def people(stand: Stand) -> None:
    """Somebody with a long name, somebody who writes Arabic; both were answered."""
    stand.script("cuarto", say("Sí, María Fernanda."))
    stand.ask(stand.site.gateway.customer_says, LONG, "¿Hay cuarto?", name=LONG_NAME)
    stand.wait_received(LONG, "María")
    stand.script("مرحبا", say("أهلاً! الغرفة *101* متاحة."))
    stand.ask(stand.site.gateway.customer_says, AMINA, ARABIC, name="أمينة")
    stand.wait_received(AMINA, "101")


def open_chat(page: Page, name: str) -> None:
    page.goto(f"/dashboard/chats?q={name}")
    page.get_by_test_id("chat-row").click()
    expect(page.get_by_test_id("chat-name")).to_have_text(name)


def bubble(page: Page, words: str) -> Locator:
    return page.get_by_test_id("bubble").filter(has_text=words)


def refuse(stand: Stand, chat: str, name: str, answer: str) -> None:
    """Let an answer be refused by the gateway once."""
    gateway = stand.site.gateway
    fault = stand.tell(
        gateway.faults.add,
        operation="send",
        kind="status",
        status=400,
        chat=f"{chat}@s.whatsapp.net",
    )
    stand.script(f"para {name}", say(answer))
    stand.ask(gateway.customer_says, chat, f"una para {name}", name=name)
    stand.ask(fault.reached.wait)


def test_names_are_whole_in_a_window_of_1280_pixels(page: Page, stand: Stand, people: None) -> None:
    assert people is None
    assert stand.url
    open_chat(page, LONG_NAME)
    names = page.locator(".rows .who, [data-testid=chat-name]")
    expect(names).to_have_count(2)
    cut = names.evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).length")
    assert cut == 0
    assert names.evaluate_all("all => all.map(e => getComputedStyle(e).textOverflow)") == [
        "clip",
        "clip",
    ]


def test_arabic_is_read_from_the_right(page: Page, stand: Stand, people: None) -> None:
    assert people is None
    assert stand.url
    open_chat(page, "أمينة")
    first, last = (
        bubble(page, "مرحبا")
        .locator(".words")
        .evaluate(
            """(words) => [0, words.firstChild.length - 1].map((place) => {
          const range = document.createRange();
          range.setStart(words.firstChild, place);
          range.setEnd(words.firstChild, place + 1);
          return range.getBoundingClientRect().left;
        })"""
        )
    )
    assert first > last  # the question mark at the end is on the left
    page.get_by_test_id("words").fill("שלום")
    direction = "(box) => getComputedStyle(box).direction"
    assert page.get_by_test_id("words").evaluate(direction) == "rtl"


def test_a_long_name_leaves_the_numbers_beside_it_in_the_window(
    page: Page, stand: Stand, people: None
) -> None:
    assert people is None
    assert stand.url
    page.set_viewport_size(NARROW)
    page.goto("/dashboard/work")
    row = page.get_by_test_id("budget").locator("tr").filter(has_text=LONG_NAME)
    for cell in row.locator("td").all():
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= NARROW["width"]


@pytest.mark.parametrize("size", [NARROW, MIDDLE, WIDE], ids=["360", "768", "1280"])
def test_the_button_that_cancels_a_run_is_in_the_window(
    page: Page, stand: Stand, size: Any
) -> None:
    gateway, model = stand.site.gateway, stand.site.model
    words = f"espera {size['width']}"
    before = len(model.calls)
    gate = trio.Event()
    stand.script(words, Step(outputs=say("ya").outputs, gate=gate))
    stand.ask(gateway.customer_says, BUSY, words, name=BUSY_NAME)
    stand.ask(model.wait_requests, before + 1)
    page.set_viewport_size(size)
    page.goto("/dashboard/work")
    row = page.get_by_test_id("work-row").filter(has_text="ronda")
    box = row.get_by_test_id("cancel").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= size["width"]
    stand.tell(gate.set)
    expect(row).to_have_count(0)


@pytest.mark.parametrize("language", ["es", "en"])
def test_no_label_of_the_navigation_is_cut(
    context: BrowserContext, stand: Stand, language: str
) -> None:
    url = f"{stand.url}/dashboard"
    context.add_cookies([{"name": "recado-language", "value": language, "url": url}])
    page = context.new_page()
    page.set_viewport_size(NARROW)
    page.goto("/dashboard")
    labels = page.get_by_test_id("nav").locator("a span")
    expect(labels).to_have_count(7)
    cut = labels.evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).length")
    assert cut == 0


def test_the_hint_in_the_composer_can_be_read_in_both_themes(
    page: Page, stand: Stand, people: None
) -> None:
    assert people is None
    assert stand.url
    open_chat(page, LONG_NAME)
    for theme in ("light", "dark"):
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
        contrast = page.get_by_test_id("words").evaluate(
            f"""(box) => {{ {LUMINANCE}
              const pair = [getComputedStyle(box, "::placeholder").color,
                getComputedStyle(box).backgroundColor].map(luminance).sort((a, b) => b - a);
              return (pair[0] + 0.05) / (pair[1] + 0.05);
            }}"""
        )
        assert contrast >= 4.5, theme


def test_a_reader_at_the_end_stays_there_when_the_window_shrinks(page: Page, stand: Stand) -> None:
    stand.script("cuenta", say("\n".join(f"línea {number}" for number in range(60))))
    stand.ask(stand.site.gateway.customer_says, LONG, "cuenta", name=LONG_NAME)
    stand.wait_received(LONG, "línea 59")
    open_chat(page, LONG_NAME)
    expect(bubble(page, "línea 59")).to_be_visible()
    left = "(e) => e.scrollHeight - e.scrollTop - e.clientHeight"
    talk = page.get_by_test_id("bubbles")
    sizes: tuple[Any, ...] = (NARROW, {"width": 740, "height": 360}, WIDE)
    for size in sizes:
        page.set_viewport_size(size)
        # wait_for_function evaluates a string in the page, which the page's policy forbids.
        talk.evaluate(f"""(e) => new Promise((done) => {{
          const look = () => ({left})(e) < 2 ? done() : requestAnimationFrame(look);
          look();
        }})""")
    talk.evaluate("(e) => { e.scrollTop = 0 }")
    page.set_viewport_size(NARROW)
    assert talk.evaluate(left) > 100  # nobody is taken away from what they read


def test_a_refused_send_is_sent_again_from_the_page_of_work(page: Page, stand: Stand) -> None:
    refuse(stand, REFUSED, "Renata", "Ahora sí, Renata.")
    page.goto("/dashboard/work")
    letter = page.get_by_test_id("failed-send").filter(has_text="Renata")
    letter.get_by_test_id("send-again").focus()
    page.keyboard.press("Enter")
    stand.wait_received(REFUSED, "Ahora sí")
    expect(page.get_by_test_id("toasts")).to_contain_text("Se enviará otra vez")
    expect(letter).to_have_count(0)


def test_a_refused_send_is_dropped_or_kept_back_in_its_chat(page: Page, stand: Stand) -> None:
    refuse(stand, DROPPED, "Darío", "Con gusto, Darío.")
    open_chat(page, "Darío")
    own = bubble(page, "Con gusto")
    expect(own.get_by_test_id("fate")).to_have_text("falló")
    page.get_by_test_id("take-over").click()
    expect(page.get_by_test_id("chat-state")).to_have_attribute("data-state", "paused")
    own.get_by_test_id("send-again").click()
    expect(page.get_by_test_id("toasts")).to_contain_text("lo tiene una persona")
    expect(own.get_by_test_id("send-again")).to_be_enabled()
    own.get_by_test_id("drop-send").click()
    expect(own.get_by_test_id("fate")).to_have_text("descartado")
    expect(own.get_by_test_id("send-again")).to_have_count(0)


def test_earlier_words_stay_expanded_while_the_page_updates(page: Page, stand: Stand) -> None:
    gateway = stand.site.gateway
    edita = stand.tell(gateway.contact, EDITA, name="Edita")
    stand.script("el 103", say("Listo, el 103."))
    asked = stand.ask(edita.say, "el 101, por favor")
    stand.ask(edita.edit, asked, "el 103, por favor")
    stand.wait_received(EDITA, "Listo")
    open_chat(page, "Edita")
    earlier = page.get_by_test_id("earlier")
    expect(earlier.get_by_text("el 101, por favor")).to_be_hidden()
    earlier.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(earlier.get_by_text("el 101, por favor")).to_be_visible()
    stand.ask(edita.edit, asked, "el 105, por favor")
    expect(page.get_by_test_id("step").filter(has_text="Editado")).to_be_visible()
    page.get_by_test_id("words").focus()  # what has the focus is left alone
    expect(bubble(page, "el 105")).to_be_visible()
    expect(earlier.get_by_text("el 103, por favor")).to_be_visible()


def test_an_empty_timeline_looks_like_every_empty_list(page: Page, stand: Stand) -> None:
    stand.ask(stand.site.gateway.agent_says, SILENT, "Hola, soy Marta")
    page.goto("/dashboard/chats")
    row = page.get_by_test_id("chat-row").filter(has_text="soy Marta")
    row.click()
    title = "(e) => { const s = getComputedStyle(e); return [s.fontSize, s.fontFamily, s.color] }"
    shown = page.get_by_test_id("turns").get_by_test_id("empty").locator("h2").evaluate(title)
    page.goto("/dashboard/chats?q=nobody-is-called-so")
    elsewhere = page.get_by_test_id("empty").first.locator("h2").evaluate(title)
    assert shown == elsewhere
