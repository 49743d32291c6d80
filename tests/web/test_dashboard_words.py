"""Both languages say everything."""

import re
from pathlib import Path

from daemon.web.dashboard.assets import read_assets, read_words
from daemon.web.dashboard.log_page import KINDS
from daemon.web.dashboard.login import NOT_PRIVATE, TOO_MANY, WRONG

FOLDER = Path(__file__).parents[2] / "daemon" / "web" / "dashboard"
SAID = re.compile(r"""(?<![\w.])t\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
FIELDS = re.compile(r"\{\w+\}")


def said() -> set[str]:
    files = [*FOLDER.rglob("*.html"), *FOLDER.rglob("*.js"), *FOLDER.glob("*.py")]
    found = [pair for file in files for pair in SAID.findall(file.read_text("utf-8"))]
    return {double or single for double, single in found}


def test_every_text_has_its_spanish() -> None:
    words = read_words()["es"]
    texts = said() - {"log: ", "English", "English text", "English {x}"}
    assert len(texts) > 50
    assert sorted(texts - set(words)) == []


def test_every_kind_of_line_has_its_spanish() -> None:
    words = read_words()["es"]
    assert [kind for kind in KINDS if f"log: {kind}" not in words] == []
    assert {NOT_PRIVATE, TOO_MANY, WRONG} <= set(words)


def test_both_languages_have_the_same_fields() -> None:
    for english, spanish in read_words()["es"].items():
        assert sorted(FIELDS.findall(english)) == sorted(FIELDS.findall(spanish)), english


def test_the_words_are_served_as_a_module() -> None:
    module = read_assets()["words-es.js"]
    assert module.body.startswith(b"export default {")
    assert b"Resumen" in module.body
