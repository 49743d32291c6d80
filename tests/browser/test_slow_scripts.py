"""What somebody does before the scripts of a page have come is not lost, nor done twice."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from support.model_script import say
from support.stand import Stand

PAULA = "573005550801"


@pytest.fixture(params=["words-es.js", "http.js", "the page's"])
def slow(request: pytest.FixtureRequest, page: Page) -> Callable[[str, str], Callable[[], None]]:
    """Go to a page of which one script does not come until what this returns is called."""
    held: list[Route] = []
    comes = False

    def meet(route: Route) -> None:
        if comes:
            route.continue_()
        else:
            held.append(route)

    def go(path: str, script: str) -> Callable[[], None]:
        name = script if request.param == "the page's" else request.param
        page.route(f"**/{name}", meet)
        page.goto(path, wait_until="commit")
        return let_come

    def let_come() -> None:
        nonlocal comes
        while not held:
            page.wait_for_timeout(20)
        comes = True
        held.pop().continue_()

    return go


def test_a_preview_is_shown(page: Page, slow: Callable[[str, str], Callable[[], None]]) -> None:
    let_come = slow("/dashboard/texts/main/closed", "texts.js")
    page.get_by_test_id("text").fill("Volvemos {opens}.")
    page.get_by_test_id("preview").click()
    let_come()
    expect(page.get_by_test_id("example")).to_contain_text("Volvemos mañana a las 8:00.")


def test_a_message_is_sent_once_and_is_in_no_address(
    page: Page,
    stand: Stand,
    slow: Callable[[str, str], Callable[[], None]],
    request: pytest.FixtureRequest,
) -> None:
    gateway = stand.site.gateway
    stand.script("una cuna", say("Hay cunas."))
    stand.ask(gateway.customer_says, PAULA, "una cuna", name="Paula")
    stand.wait_received(PAULA, "Hay cunas")
    page.goto("/dashboard/chats?q=Paula")
    path = page.get_by_test_id("chat-row").get_attribute("href")
    assert path
    words = f"Soy Marta, {request.node.callspec.id}"
    requests: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url))
    let_come = slow(path, "conversations.js")
    page.get_by_test_id("words").fill(words)
    for _ in range(2):
        page.get_by_test_id("send").click()
    let_come()
    stand.wait_received(PAULA, words)
    expect(page.get_by_test_id("words")).to_have_value("")
    expect(page.get_by_test_id("bubble").filter(has_text=words)).to_have_count(1)
    assert not [url for url in requests if "Marta" in url]
    sent = stand.tell(gateway.sent, PAULA)
    assert [message.text for message in sent].count(words) == 1


def test_a_key_opens_a_page(page: Page, slow: Callable[[str, str], Callable[[], None]]) -> None:
    let_come = slow("/dashboard", "shell.js")
    page.locator("body").press("Alt+5")
    let_come()
    expect(page).to_have_url(re.compile("/dashboard/log$"))
