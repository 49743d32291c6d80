"""The buttons of a chat's page do what they say; the API is behind them."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect
from support.stand import Stand

LAURA = "573001234567"
PEDRO = "573007654321"


def test_the_buttons_of_a_chat(stand: Stand, page: Page) -> None:
    gateway = stand.site.gateway
    stand.ask(gateway.customer_says, LAURA, "Hola", name="Laura")
    stand.ask(gateway.wait_sent, LAURA)
    page.goto("/dashboard/chats")
    page.get_by_test_id("chat-row").filter(has_text="Laura").click()
    page.get_by_test_id("chat-name").wait_for()

    page.locator("[data-act=pause]").first.click()
    expect(page.locator("#held")).to_contain_text("pausa")
    page.locator("[data-act=resume]").first.click()
    expect(page.locator("#held")).to_be_hidden()
    expect(page.locator("[data-act=pause]").first).to_be_visible()

    page.get_by_test_id("add-label").click()
    page.get_by_test_id("label-dialog").get_by_label("Cotizado").check()
    page.get_by_test_id("label-now").press("Enter")
    page.locator("[data-unlabel=Cotizado]").click()
    expect(page.locator("[data-unlabel]")).to_have_count(0)

    page.get_by_test_id("words").fill("Soy Marta")
    page.get_by_test_id("words").press("Enter")
    expect(page.get_by_test_id("words")).to_have_value("")
    stand.wait_received(LAURA, "Soy Marta")

    with page.expect_response("**/reaction") as reacted:
        page.locator("[data-react='👍']").first.click()
    assert reacted.value.status == 204

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    page.get_by_test_id("new-reminder").locator("summary").click()
    page.get_by_test_id("remind-when").fill(f"{tomorrow:%Y-%m-%dT%H:%M}")
    page.get_by_test_id("remind-text").fill("Hoy a las 9.")
    page.get_by_test_id("remind-add").click()
    expect(page.get_by_test_id("chat-reminders")).to_contain_text("Hoy a las 9.")
    page.get_by_test_id("cancel-reminder").click()
    expect(page.get_by_test_id("cancel-reminder")).to_have_count(0)

    number = page.locator("#talk-head [data-reveal]")
    number.click()
    expect(number).to_contain_text(LAURA[-7:])

    page.get_by_test_id("begin").click()
    page.get_by_test_id("to").fill("+57 300 765 4321")
    page.get_by_test_id("first").fill("Buenos días")
    page.get_by_test_id("begin-now").click()
    expect(page.get_by_test_id("bubble").filter(has_text="Buenos días")).to_be_visible()
    stand.wait_received(PEDRO, "Buenos días")

    page.get_by_test_id("forget").click()
    confirm = page.locator("#confirm")
    confirm.fill(PEDRO[-4:])
    page.locator("[data-forget] .danger").click()
    page.wait_for_url("**/dashboard/chats")
    expect(page.get_by_test_id("chat-row").filter(has_text="Laura")).to_be_visible()
    expect(page.get_by_test_id("chat-row")).to_have_count(1)
