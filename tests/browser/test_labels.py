"""The desk's own labels in a browser, with a number of the Cloud API; by keyboard."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.axe import WIDE, look
from support.cloud_bodies import PHONE_NUMBER_ID
from support.cloud_stage import (
    APP_SECRET,
    LAURA_CHAT,
    TOKEN,
    VERIFY_TOKEN,
    open_cloud,
)
from support.stand import Stand, open_stand


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A daemon whose number is at the simulated Cloud API, where Laura was answered."""
    with open_stand(Path(tmp_path_factory.mktemp("stand"))) as stand:
        cloud, url = stand.ask(open_cloud, stand.site.nursery)
        stand.start(
            RECADO_GATEWAY="cloud",
            RECADO_CLOUD__API_URL=url,
            RECADO_CLOUD__TOKEN=TOKEN,
            RECADO_CLOUD__APP_SECRET=APP_SECRET,
            RECADO_CLOUD__VERIFY_TOKEN=VERIFY_TOKEN,
            RECADO_CLOUD__PHONE_NUMBER_ID=PHONE_NUMBER_ID,
        )
        cloud.webhook_url = f"{stand.url}/hook"
        cloud.contact(LAURA_CHAT).name = "Laura"
        stand.ask(cloud.customer_says, LAURA_CHAT, "Hola")
        stand.ask(cloud.wait_sent, LAURA_CHAT)
        yield stand


def open_laura(page: Page) -> None:
    page.goto("/dashboard/chats")
    page.get_by_test_id("chat-row").filter(has_text="Laura").click()
    page.get_by_test_id("chat-name").wait_for()


def test_labels_are_made_used_renamed_and_deleted_by_keyboard(page: Page) -> None:
    open_laura(page)
    page.get_by_test_id("add-label").press("Enter")
    page.get_by_test_id("change-labels").press("Enter")
    expect(page.get_by_test_id("empty")).to_be_visible()
    look(page, "no labels")
    page.get_by_label("Nombre").fill("Grupo grande")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    row = page.get_by_test_id("desk-label")
    expect(row).to_have_count(1)
    expect(row.locator("circle").first).to_have_attribute("fill", "gold")
    look(page, "labels")

    page.set_viewport_size(WIDE)
    open_laura(page)
    page.get_by_test_id("add-label").press("Enter")
    page.get_by_test_id("label-dialog").get_by_label("Grupo grande").press("Space")
    look(page, "label of the desk in a chat")
    page.set_viewport_size(WIDE)
    page.get_by_test_id("label-now").press("Enter")
    expect(page.get_by_test_id("chat-label")).to_contain_text("Grupo grande")
    expect(page.get_by_test_id("row-labels")).to_contain_text("Grupo grande")

    page.goto("/dashboard/account")
    page.get_by_test_id("labels").press("Enter")
    row.get_by_test_id("change").press("Enter")
    row.get_by_label("Nombre").fill("Grupo")
    row.get_by_label("Nombre").press("Enter")
    expect(row).to_contain_text("Grupo")
    open_laura(page)
    expect(page.get_by_test_id("chat-label")).to_have_text(re.compile(r"Grupo\b(?! grande)"))

    page.goto("/dashboard/labels")
    row.get_by_test_id("change").press("Enter")
    row.get_by_role("button", name="Borrar Grupo").press("Enter")
    expect(row).to_have_count(0)
    open_laura(page)
    expect(page.get_by_test_id("chat-label")).to_have_count(0)
