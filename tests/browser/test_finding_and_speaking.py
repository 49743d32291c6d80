"""What somebody at the desk finds and says: words in all chats, and voice notes."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from support.axe import WIDE, look
from support.model_script import say
from support.stand import Stand

MARTA = "573005550701"


@pytest.fixture(scope="module", autouse=True)
def _marta(stand: Stand) -> None:
    """Marta asks something, and then much else."""
    stand.script("parqueadero", say("Sí, el parqueadero es cubierto."))
    stand.ask(stand.site.gateway.customer_says, MARTA, "¿Tienen parqueadero?", name="Marta")
    stand.wait_received(MARTA, "cubierto")
    for number in range(20):
        words = f"Otra pregunta, la {number}: ¿abren temprano?"
        stand.script(f"la {number}:", say(f"Abrimos siempre a las siete, {number}."))
        stand.ask(stand.site.gateway.customer_says, MARTA, words, name="Marta")
        stand.wait_received(MARTA, f"siete, {number}.")


def _marked(found: Locator) -> list[str]:
    return found.locator("mark").all_inner_texts()


def test_words_are_found_and_open_the_chat_at_the_message(page: Page) -> None:
    page.goto("/dashboard/chats")
    search = page.get_by_test_id("search")
    for _ in range(2000):  # the key does nothing before the page's script runs
        page.keyboard.press("/")
        if search.evaluate("box => box === document.activeElement"):
            break
    page.keyboard.type("PARQUEADÉRO")
    found = page.get_by_test_id("found")
    # Until then the list may be that of a part of the word, and be renewed under the keys.
    expect(found.first).to_have_attribute("href", re.compile("q=PARQUEAD%C3%89RO&"))
    expect(found).to_have_count(2)
    assert _marked(found.first) == ["parqueadero"]
    page.keyboard.press("ArrowDown")
    expect(found.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(found.last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"message=in-\d+#in-\d+$"))
    asked = page.get_by_test_id("bubble").filter(has_text="¿Tienen parqueadero?")
    expect(asked).to_be_in_viewport()
    expect(page.get_by_test_id("search")).to_have_value("PARQUEADÉRO")
    page.goto("/dashboard/chats?q=parqueadero&person=nobody")
    expect(page.get_by_test_id("person")).to_be_visible()
    expect(page.get_by_test_id("found")).to_have_count(0)


def test_a_voice_note_is_recorded_and_sent(page: Page) -> None:
    page.goto("/dashboard/chats")
    page.get_by_test_id("chat-row").filter(has_text="Marta").click()
    button = page.get_by_test_id("record")
    button.press("Enter")
    expect(page.get_by_test_id("recording")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("recording")).to_be_hidden()
    expect(button).to_be_focused()
    button.press("Enter")
    seconds = page.get_by_test_id("recording").locator("[data-seconds]")
    expect(seconds).to_have_text(re.compile(r"0:(0[1-9]|[1-5]\d)"))
    button.press("Enter")
    heard = page.locator(".bubble.agent audio")
    expect(heard).to_have_count(1)
    source = heard.get_attribute("src")
    assert source is not None
    answer = page.request.get(source)
    assert answer.headers["content-type"].startswith("audio/ogg")
    assert answer.body().startswith(b"OggS")
    assert b"OpusHead" in answer.body()[:100]
    sound = heard.element_handle()
    page.evaluate("(audio) => { audio.preload = 'metadata'; audio.load(); }", sound)
    page.wait_for_function("(audio) => audio.duration > 0.5", arg=sound)


def test_the_desk_can_be_installed_as_an_app(page: Page) -> None:
    page.goto("/dashboard/chats")
    asked = page.context.new_cdp_session(page)
    assert asked.send("Page.getAppManifest")["errors"] == []
    faults = asked.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {fault["errorId"] for fault in faults} <= {"in-incognito"}  # as each test's window is


def test_prepared_answers_are_kept_and_used_by_keyboard(page: Page) -> None:
    page.goto("/dashboard/answers")
    page.get_by_label("Nombre").fill("Horario")
    page.keyboard.press("Tab")
    page.keyboard.type("Abrimos a las siete, {name}.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Abrimos a las siete").first).to_be_visible()
    look(page, "answers")
    page.set_viewport_size(WIDE)
    page.goto("/dashboard/chats")
    page.get_by_test_id("chat-row").filter(has_text="Marta").click()
    page.get_by_test_id("prepared").locator("summary").press("Enter")
    page.get_by_test_id("insert").press("Enter")
    expect(page.get_by_test_id("words")).to_be_focused()
    expect(page.get_by_test_id("words")).to_have_value("Abrimos a las siete, Marta.")
    page.get_by_test_id("words").fill("")
    look(page, "prepared answers in a chat")


def test_what_was_found_has_no_fault_that_axe_finds(page: Page) -> None:
    page.goto("/dashboard/chats?q=parqueadero&person=Marta")
    expect(page.get_by_test_id("found")).to_have_count(2)
    look(page, "found")
