"""A day at the desk: three people, each in a browser of their own, and a customer."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.model_script import call, say
from support.place import variables_of_store
from support.stand import Stand

from daemon.__main__ import main

CAMILA = "573005550601"
PASSWORD = "correct horse battery"
NOTE = "Paga siempre en efectivo"
SEES_NOTIFICATIONS = """
window.told = [];
window.sounds = 0;
window.AudioContext = class extends AudioContext {
  createOscillator() {
    sounds += 1;
    return super.createOscillator();
  }
};
window.Notification = class {
  static permission = "granted";
  static requestPermission = async () => "granted";
  constructor(title, { body }) { told.push(`${title}: ${body}`); }
};
"""
PICTURES = os.environ.get("DESK_PICTURES", "")
"""A folder for pictures of the day; empty: none are taken."""


@dataclass
class Colleague:
    """Somebody of the team, in their browser."""

    name: str
    page: Page

    def picture(self, name: str) -> None:
        if PICTURES:
            for theme in ("light", "dark"):
                self.page.evaluate("(t) => { document.documentElement.dataset.theme = t }", theme)
                self.page.screenshot(path=Path(PICTURES) / f"{name}-{theme}.png")

    def badge(self, count: int) -> None:
        """Expect the number of unread chats in the menu, in the title and on the icon."""
        unread = self.page.get_by_test_id("unread")
        icon = self.page.locator("link[rel=icon]")
        if count:
            expect(unread).to_have_text(str(count))
            expect(self.page).to_have_title(re.compile(rf"^\({count}\) "))
            expect(icon).to_have_attribute("href", re.compile("^data:image/svg"))
        else:
            expect(unread).to_be_hidden()
            expect(self.page).not_to_have_title(re.compile(r"^\("))
            expect(icon).not_to_have_attribute("href", re.compile("^data:"))

    def open_camila(self) -> None:
        self.page.goto("/dashboard/chats?state=with_agent")
        self.page.get_by_test_id("chat-row").filter(has_text="Camila").click()
        expect(self.page.get_by_test_id("chat-name")).to_have_text("Camila")


def sign_in(browser: Browser, stand: Stand, name: str) -> tuple[BrowserContext, Colleague]:
    context = browser.new_context(
        base_url=stand.url,
        locale="es-CO",
        viewport={"width": 1280, "height": 800},
        reduced_motion="reduce",
    )
    context.add_init_script(SEES_NOTIFICATIONS)
    page = context.new_page()
    page.goto("/dashboard/login")
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("token").fill(PASSWORD)
    page.get_by_test_id("sign-in").click()
    page.get_by_test_id("parts").wait_for()
    return context, Colleague(name, page)


@pytest.fixture
def team(stand: Stand, browser: Browser) -> Iterator[tuple[Colleague, Colleague, Colleague]]:
    """María and Jorge, agents, and Olga, an operator; signed in."""
    variables = {
        "RECADO_DATA_DIR": str(stand.site.data_dir),
        **variables_of_store(stand.site.data_dir),
    }
    for name, role in (("María", "agent"), ("Jorge", "agent"), ("Olga", "operator")):
        made = CliRunner().invoke(
            main, ["account", "add", name, "--role", role], input=PASSWORD, env=variables
        )
        assert made.exit_code == 0, made.output
    signed = [sign_in(browser, stand, name) for name in ("María", "Jorge", "Olga")]
    first, second, third = (colleague for _, colleague in signed)
    yield first, second, third
    for context, _ in signed:
        context.close()


def ask_for_a_person(stand: Stand) -> None:
    """Camila wants an invoice, and the model asks for a person."""
    wishes = {
        "reason": "Quiere una factura a nombre de su empresa",
        "summary": "Pide factura con NIT para la reserva del viernes.",
        "urgency": "high",
    }
    stand.script("NIT", call("escalate_to_human", json.dumps(wishes)), say("Ya te escriben."))
    gateway = stand.site.gateway
    stand.ask(gateway.customer_says, CAMILA, "Necesito una factura con NIT", name="Camila")
    stand.wait_received(CAMILA, "Ya te escriben")


def test_a_day_at_the_desk(stand: Stand, team: tuple[Colleague, Colleague, Colleague]) -> None:
    maria, jorge, olga = team
    notifications_are_turned_on(maria)
    jorge.page.goto("/dashboard/chats")
    an_answer_is_prepared(olga)

    ask_for_a_person(stand)
    maria.badge(1)
    jorge.badge(1)
    assert maria.page.evaluate("told") == ["Un cliente espera a una persona: Camila"]
    assert maria.page.evaluate("sounds") == 1
    assert jorge.page.evaluate("told") == []  # he has not asked for it
    assert jorge.page.evaluate("sounds") == 0

    the_queue_says_why(jorge)
    maria.open_camila()
    maria.badge(0)
    jorge.badge(0)  # somebody has looked

    they_see_each_other(maria, jorge)
    a_chat_is_taken_and_noted(stand, maria, jorge)
    it_is_handed_over(maria, jorge)
    jorge_answers_and_resolves(stand, jorge)
    the_model_knows_the_note(stand)


def notifications_are_turned_on(maria: Colleague) -> None:
    maria.page.goto("/dashboard/account")
    maria.page.get_by_test_id("notify").check()
    maria.page.get_by_test_id("sound").check()
    maria.picture("account")
    maria.page.get_by_role("button", name="Guardar").click()
    expect(maria.page.get_by_test_id("notify")).to_be_checked()
    maria.page.goto("/dashboard")


def an_answer_is_prepared(olga: Colleague) -> None:
    olga.page.goto("/dashboard/answers")
    olga.page.get_by_label("Nombre").fill("Saludo")
    olga.page.get_by_label("Texto").fill("Hola, {name}, soy {agent}. Te la envío ya.")
    olga.page.get_by_role("button", name="Guardar").click()
    expect(olga.page.get_by_test_id("answer")).to_contain_text("Saludo")
    olga.picture("answers")


def the_queue_says_why(jorge: Colleague) -> None:
    jorge.page.get_by_test_id("filter-with_agent").click()
    row = jorge.page.get_by_test_id("chat-row").filter(has_text="Camila")
    expect(row.get_by_test_id("why")).to_contain_text("Quiere una factura a nombre de su empresa")
    expect(row.get_by_test_id("why")).to_contain_text("urgente")
    expect(row).to_have_attribute("data-unread", "yes")
    jorge.picture("queue")


def they_see_each_other(maria: Colleague, jorge: Colleague) -> None:
    expect(maria.page.get_by_test_id("summary")).to_contain_text("NIT para la reserva")
    jorge.open_camila()
    expect(jorge.page.get_by_test_id("presence")).to_have_text("También mira este chat: María")
    maria.page.get_by_test_id("words").press_sequentially("Hola")
    expect(jorge.page.get_by_test_id("presence")).to_have_text("Aquí escribe: María")
    jorge.picture("presence")
    maria.page.get_by_test_id("words").fill("")
    expect(jorge.page.get_by_test_id("presence")).to_have_text("También mira este chat: María")


def a_chat_is_taken_and_noted(stand: Stand, maria: Colleague, jorge: Colleague) -> None:
    maria.page.get_by_test_id("assign").select_option(label="María")
    expect(maria.page.get_by_test_id("filter-mine")).to_contain_text("1")
    maria.page.get_by_test_id("new-note").locator("summary").click()
    maria.page.get_by_test_id("note-text").fill(NOTE)
    maria.page.get_by_test_id("note-model").check()
    maria.page.get_by_test_id("note-add").click()
    expect(maria.page.get_by_test_id("note")).to_contain_text("Nota de María")
    expect(jorge.page.get_by_test_id("note")).to_contain_text(NOTE)
    maria.picture("chat")
    sent = stand.tell(stand.site.gateway.sent, CAMILA)
    assert not any(NOTE in message.text for message in sent)


def it_is_handed_over(maria: Colleague, jorge: Colleague) -> None:
    jorge.page.goto("/dashboard")
    maria.page.get_by_test_id("assign").select_option(label="Jorge")
    jorge.badge(1)
    expect(maria.page.get_by_test_id("assign").locator("option:checked")).to_have_text("Jorge")
    maria.page.goto("/dashboard/chats?state=mine")
    expect(maria.page.get_by_test_id("chat-row")).to_have_count(0)
    jorge.page.goto("/dashboard/chats?state=mine")
    expect(jorge.page.get_by_test_id("assignee")).to_have_text("Jorge")


def jorge_answers_and_resolves(stand: Stand, jorge: Colleague) -> None:
    jorge.page.get_by_test_id("chat-row").click()
    jorge.page.get_by_test_id("prepared").locator("summary").click()
    jorge.page.get_by_test_id("insert").click()
    expect(jorge.page.get_by_test_id("words")).to_have_value(
        "Hola, Camila, soy Jorge. Te la envío ya."
    )
    jorge.page.reload()  # what was begun is kept
    jorge.page.get_by_test_id("bubble").first.get_by_test_id("quote").click()
    expect(jorge.page.get_by_test_id("quoting")).to_contain_text("Necesito una factura con NIT")
    jorge.picture("quoting")
    jorge.page.get_by_test_id("words").press("Enter")
    stand.wait_received(CAMILA, "soy Jorge")
    bill = {"name": "factura.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    jorge.page.get_by_test_id("file").set_input_files(bill)  # type: ignore[arg-type]
    expect(jorge.page.get_by_test_id("bubble").last).to_contain_text("factura.pdf")
    jorge.badge(0)
    jorge.page.get_by_test_id("resume").click()
    expect(jorge.page.get_by_test_id("filter-with_agent")).not_to_contain_text("1")
    jorge.page.get_by_test_id("filter-idle").click()
    expect(jorge.page.get_by_test_id("chat-row").filter(has_text="Camila")).to_be_visible()
    jorge.picture("resolved")


def the_model_knows_the_note(stand: Stand) -> None:
    stand.script("y ahora", say("Con gusto, Camila."))
    stand.ask(stand.site.gateway.customer_says, CAMILA, "¿y ahora?", name="Camila")
    stand.wait_received(CAMILA, "Con gusto, Camila")
    prompts = [json.dumps(one.items, ensure_ascii=False) for one in stand.site.model.calls]
    assert any(f"María: {NOTE}" in prompt for prompt in prompts)
