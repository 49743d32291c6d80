"""No page mixes its languages: an English one has no Spanish text, a Spanish one no English."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.compared import plant_comparison
from support.dashboard import open_browser, ref_of
from support.edge import Start
from support.model_script import Step, call, say
from support.plain import NO_TLS
from support.scenes import PEDRO, forgive, found, open_scene, outcomes
from support.stage import LAURA

from daemon.http.dashboard.assets import read_words

READ_ALOUD = ("title", "aria-label", "alt", "placeholder")
"""Attributes with text for people."""


class Texts(HTMLParser):
    """The texts of a page, without those that name their own language."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        is_other = tag == "button" and "lang" in named
        if tag in {"script", "style", "textarea"} or is_other or self._silent:
            self._silent += tag not in {"br", "input", "img", "use", "link", "meta", "rect", "path"}
            return
        self.found += [str(named[name]) for name in READ_ALOUD if named.get(name)]

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._silent = max(0, self._silent - 1)

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.found.append(" ".join(data.split()))


def phrases(language: str) -> dict[str, re.Pattern[str]]:
    """What is said in a language, as patterns of whole texts."""
    words = read_words()
    english = {key: words["en"].get(key, key) for key in words["es"]}
    said = words["es"] if language == "es" else english
    texts = {text.removeprefix("log: ").removeprefix("audit: ") for text in said.values()}
    shapes = {text: re.sub(r"\\\{\w+\\\}", ".+", re.escape(text)) for text in texts}
    return {text: re.compile(shape, re.DOTALL) for text, shape in shapes.items() if shape != ".+"}


def foreign(page: str, language: str) -> list[str]:
    """The texts of a page that are said in the other language, and not in its own."""
    texts = Texts()
    texts.feed(page)
    own = list(phrases(language).values())
    other = list(phrases("en" if language == "es" else "es").values())
    parts = [part for text in texts.found for part in re.split(r" · |: |; ", text)]
    return sorted(
        {
            text
            for text in {*texts.found, *parts}
            if any(shape.fullmatch(text) for shape in other)
            and not any(shape.fullmatch(text) for shape in own)
        }
    )


@pytest.mark.parametrize("language", ["es", "en"])
async def test_no_page_mixes_its_languages(tmp_path: Path, language: str) -> None:
    refusal: dict[str, Any] = {"status": 400, "code": "invalid_prompt", "message": "no"}
    async with open_scene(tmp_path) as stage, open_browser(stage) as browser:
        browser.cookies.set("recado-language", language)
        stage.model.script(
            Step(**refusal), call("get_conversation_context"), say("987654321"), say("7")
        )
        await stage.gateway.customer_says(LAURA, "12345", name="Laura")
        await found(lambda: outcomes(stage) == ["dead"])
        await stage.gateway.customer_says(PEDRO, "67890", name="Pedro")
        await stage.gateway.wait_sent(PEDRO)
        await found(lambda: outcomes(stage) == ["dead", "answered"])
        await stage.gateway.agent_says(PEDRO, "99")
        await stage.gateway.customer_says(PEDRO, "333")
        chats = [f"/dashboard/chats/{await ref_of(browser, name)}" for name in ("Laura", "Pedro")]
        assert (await browser.post(f"{chats[0].replace('/chats', '/api/chats')}/pause")).is_success
        paths = ("", "/chats", "/chats?q=nobody", "/work", "/log", "/nowhere", "/texts")
        chats += ["/dashboard/texts/main/instructions", "/dashboard/texts/main/closed"]
        plant_comparison(stage.settings.data_dir)
        seen = 0
        compared = ("/figures?by=topic", "/comparisons", "/comparisons/1?show=all")
        for path in (*(f"/dashboard{path}" for path in (*paths, *compared)), *chats):
            page = (await browser.get(path)).text
            assert f'lang="{language}"' in page
            assert foreign(page, language) == [], path
            seen += len(page)
        assert seen > 40_000
        forgive(stage)


@pytest.mark.parametrize("language", ["es", "en"])
async def test_the_login_does_not_mix_them_either(start_edge: Start, language: str) -> None:
    served = await start_edge(admin_token="an-admin-token-of-some-length", language=language)
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
        page = (await client.get(f"{served.url}/dashboard/login")).text
    assert f'<html lang="{language}"' in page
    assert foreign(page, language) == []


def test_a_mixed_page_would_be_seen() -> None:
    page = "<p>Bandeja de salida</p><b title='Oldest unanswered'>3 min</b><p>Chat</p>"
    assert foreign(page, "en") == ["Bandeja de salida"]
    assert foreign(page, "es") == ["Oldest unanswered"]
