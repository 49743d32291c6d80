"""A browser, and for each module a daemon and its simulators: they take seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Dialog,
    Page,
    StorageState,
    WebError,
    expect,
    sync_playwright,
)
from support.chromium import CHROMIUM, launch
from support.stand import ADMIN_TOKEN, Stand, open_stand

WIDE: Any = {"width": 1280, "height": 800}
PATIENCE_MS = 60_000
"""For what takes tenths of a second on a machine that has nothing else to do."""
expect.set_options(timeout=PATIENCE_MS)

WATCH = """
window.faults = []; window.shift = 0;
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
"""Notes what the content security policy had to stop, and how much of the page has jumped."""


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The daemon with an admin token, and the simulators."""
    with open_stand(Path(tmp_path_factory.mktemp("stand"))) as stand:
        stand.start()
        yield stand


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser. What a test opens in it is closed before the stand ends."""
    if not CHROMIUM.exists():
        pytest.skip(f"NO BROWSER TESTS: there is no {CHROMIUM}")
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def session(browser: Browser, stand: Stand) -> StorageState:
    """The cookies of somebody who has signed in."""
    context = browser.new_context(base_url=stand.url, locale="es-CO")
    answer = context.request.post("/dashboard/login", form={"token": ADMIN_TOKEN}, max_redirects=0)
    assert answer.status == 303
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(browser: Browser, stand: Stand, session: StorageState) -> Iterator[BrowserContext]:
    """Somebody who is signed in, with a wide window. No page of theirs may have run a script."""
    context = browser.new_context(
        base_url=stand.url,
        storage_state=session,
        viewport=WIDE,
        reduced_motion="reduce",
        locale="es-CO",
    )
    context.add_init_script(WATCH)
    context.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []

    def note(event: Dialog | WebError) -> None:
        faults.append(event.message if isinstance(event, Dialog) else str(event.error))
        if isinstance(event, Dialog):
            event.dismiss()

    context.on("dialog", note)
    context.on("weberror", note)
    yield context
    for page in context.pages:
        for frame in page.frames:
            faults += frame.evaluate("window.faults ?? []")
            assert frame.evaluate("window.pwned") is None
    context.close()
    assert faults == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Their first page."""
    return context.new_page()
