"""Editing a text in a browser: preview, saving, going back, two editors, kill -9; by keyboard."""

from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect
from support.axe import look
from support.model_script import say
from support.stand import Stand

RITA = "573005550301"
PATH = "/dashboard/texts/main/instructions"
RULE = "Cancelar es gratis hasta 48 horas antes."
OTHER = "Cancelar es gratis hasta 24 horas antes."


def draft(page: Page, *lines: str) -> None:
    page.get_by_test_id("text").fill("\n".join(lines))


def instructions(stand: Stand, question: str) -> str:
    """What the model is told when a customer asks this."""
    stand.script(question, say(f"Claro: {question}"))
    stand.ask(stand.site.gateway.customer_says, RITA, question, name="Rita")
    stand.wait_received(RITA, f"Claro: {question}")
    calls: list[Any] = stand.site.model.calls
    return str(calls[-1].body["instructions"])


def test_a_text_is_edited_by_keyboard_alone_and_is_at_work_after_kill(
    page: Page, stand: Stand
) -> None:
    page.goto("/dashboard")
    page.locator("body").press("Alt+6")
    page.get_by_test_id("text-instructions").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("origin")).to_contain_text("De la configuración")
    page.get_by_test_id("text").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(f"Eres el asistente de un hotel.\n{RULE}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("shown")).to_be_focused()
    expect(page.get_by_test_id("diff")).to_contain_text(RULE)
    expect(page.get_by_test_id("example")).to_contain_text(RULE)
    look(page, "texts, preview")
    page.get_by_test_id("save").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("version")).to_have_count(1)
    expect(page.get_by_test_id("origin")).to_contain_text("Editado aquí")
    file = Path(page.get_by_test_id("origin").locator(".mono").inner_text())
    stand.kill()
    file.write_text("Otro texto.\n")
    stand.start()
    assert RULE in instructions(stand, "¿puedo cancelar?")
    page.reload()
    expect(page.get_by_test_id("text")).to_have_value(f"Eres el asistente de un hotel.\n{RULE}")
    page.get_by_test_id("compare-file").click()
    expect(page.get_by_test_id("diff")).to_contain_text("Otro texto.")
    look(page, "texts, another file")
    page.get_by_test_id("keep").click()
    expect(page.get_by_test_id("file-changed")).to_have_count(0)
    expect(page.get_by_test_id("version")).to_have_count(2)


def test_the_second_of_two_editors_keeps_the_draft_and_goes_back(
    context: BrowserContext, stand: Stand
) -> None:
    page, other = context.new_page(), context.new_page()
    for one in (page, other):
        one.goto(PATH)
    draft(page, "Uno.", RULE)
    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("origin")).to_contain_text("Editado aquí")
    draft(other, "Uno.", OTHER)
    other.get_by_test_id("save").click()
    expect(other.get_by_test_id("fault")).to_contain_text("Tu borrador se conserva")
    expect(other.get_by_test_id("diff")).to_contain_text(RULE)
    expect(other.get_by_test_id("text")).to_have_value(f"Uno.\n{OTHER}")
    look(other, "texts, conflict")
    versions = other.get_by_test_id("version").count()
    other.get_by_test_id("save").click()
    expect(other.get_by_test_id("version")).to_have_count(versions + 1)
    assert OTHER in instructions(stand, "¿y si cambio de planes?")
    draft(other, "Algo que no se guarda.")
    restore = other.get_by_test_id("restore").first
    restore.click()
    expect(other.get_by_test_id("fault")).to_contain_text("Haz clic otra vez")
    restore.click()
    expect(other.get_by_test_id("text")).to_have_value(f"Uno.\n{RULE}")
    assert RULE in instructions(stand, "¿y entonces?")
    other.get_by_test_id("compare").first.click()
    expect(other.get_by_test_id("diff")).to_contain_text(OTHER)
    other.get_by_test_id("back").click()
    expect(other.get_by_test_id("origin")).to_contain_text("De la configuración")
    assert RULE not in instructions(stand, "¿hay algo más?")


def test_a_text_to_customers_shows_how_it_is_read(page: Page) -> None:
    page.goto("/dashboard/texts/main/closed")
    draft(page, "Volvemos {opens}. {cuando}")
    page.get_by_test_id("preview").click()
    expect(page.get_by_test_id("example")).to_contain_text("Volvemos mañana a las 8:00.")
    expect(page.get_by_test_id("fault")).to_contain_text("{cuando}")
    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("version")).to_have_count(0)
    draft(page, "Volvemos {opens}.")
    page.get_by_test_id("save").click()
    expect(page.get_by_test_id("version")).to_have_count(1)
    look(page, "texts, closed")
    page.goto("/dashboard/texts")
    expect(page.get_by_test_id("edited")).to_have_count(1)


def test_a_draft_is_tried_and_put_to_work_for_all(page: Page, stand: Stand) -> None:
    page.goto(PATH)
    live = page.get_by_test_id("text").input_value()
    draft(page, live, "Termina siempre con el nombre del hotel.")
    page.get_by_test_id("try").press("Enter")
    expect(page.get_by_test_id("tried")).to_contain_text("en la sombra")
    draft(page, live)
    page.get_by_test_id("compare-tried").press("Enter")
    expect(page.get_by_test_id("diff")).to_contain_text("nombre del hotel")
    look(page, "texts, a draft on trial")
    page.get_by_test_id("share").select_option("0.25")
    draft(page, live, "Termina siempre con una pregunta.")
    page.get_by_test_id("try").press("Enter")
    expect(page.get_by_test_id("tried")).to_contain_text("25 % de los chats")
    draft(page, live)
    page.get_by_test_id("adopt").press("Enter")
    expect(page.get_by_test_id("tried")).to_have_count(0)
    expect(page.get_by_test_id("text")).to_have_value(f"{live}\nTermina siempre con una pregunta.")
    assert "una pregunta" in instructions(stand, "¿y el parqueadero?")
