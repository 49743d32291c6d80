"""What axe finds in a page, in both themes, wide and narrow."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Frame, Page

NARROW: Any = {"width": 360, "height": 740}
WIDE: Any = {"width": 1280, "height": 800}
AXE = Axe()
RULES = {"resultTypes": ["violations"]}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

LOOK = """async (options) => {
  const { violations } = await axe.run(document, options);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 120)}`));
}"""


def violations(page: Page | Frame, options: dict[str, Any]) -> list[str]:
    """What axe finds; its script stays in the page, and its long report too."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    found: list[str] = page.evaluate(LOOK, options)
    return found


def look(page: Page, path: str) -> None:
    """Both themes and both widths: nothing that axe finds, nothing wider than the window."""
    faults = []
    for theme, size in (
        ("light", WIDE),
        ("dark", WIDE),
        ("light", NARROW),
        ("dark", NARROW),
    ):
        page.set_viewport_size(size)
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
        faults += [f"{path} {theme} {size['width']}: {fault}" for fault in violations(page, RULES)]
        wider = page.evaluate(OVERFLOW)
        faults += [f"{path} {size['width']}: {wider} px too wide"] if wider > 0 else []
    assert faults == []
