"""Both languages say everything."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.http.dashboard.assets import read_assets, read_words
from daemon.http.dashboard.log_page import KINDS
from daemon.http.dashboard.login import NOT_PRIVATE, TOO_MANY, WRONG, WRONG_NAME
from daemon.http.dashboard.shell import Wording
from daemon.http.dashboard.turn_steps import audited
from daemon.observability.metrics import MESSAGE_KINDS

FOLDER = Path(__file__).parents[2] / "daemon" / "http" / "dashboard"
SAID = re.compile(r"""(?<![\w.])t\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
FIELDS = re.compile(r"\{\w+\}")


def said() -> set[str]:
    files = [*FOLDER.rglob("*.html"), *FOLDER.rglob("*.js"), *FOLDER.glob("*.py")]
    found = [pair for file in files for pair in SAID.findall(file.read_text("utf-8"))]
    return {double or single for double, single in found}


def test_every_text_has_its_spanish() -> None:
    words = read_words()["es"]
    texts = said() - {
        "log: ",
        "filter: ",
        "tab: ",
        "role: ",
        "text: ",
        "verdict: ",
        "color: ",
        "English",
        "English text",
        "English {x}",
    }
    assert len(texts) > 50
    assert sorted(texts - set(words)) == []


def test_no_word_of_the_ledger_is_shown_as_it_is_written_there() -> None:
    """What is one word of a person in Spanish is none with a line below it in English."""
    words = read_words()
    states = {word for word in words["es"] if "_" in word and " " not in word}
    assert "handed_off" in states
    assert sorted(states - set(words["en"])) == []
    assert sorted(set(words["en"]) - set(words["es"])) == []
    assert not any("_" in said for said in words["en"].values())


def test_every_kind_of_line_has_its_spanish() -> None:
    words = read_words()["es"]
    assert [kind for kind in KINDS if f"log: {kind}" not in words] == []
    assert {NOT_PRIVATE, TOO_MANY, WRONG, WRONG_NAME} <= set(words)


def test_every_type_of_message_has_its_words() -> None:
    words = read_words()
    assert [kind for kind in MESSAGE_KINDS if kind not in words["es"]] == []
    assert [kind for kind in MESSAGE_KINDS if "_" in kind and kind not in words["en"]] == []


def test_both_languages_have_the_same_fields() -> None:
    for english, spanish in read_words()["es"].items():
        assert sorted(FIELDS.findall(english)) == sorted(FIELDS.findall(spanish)), english


def test_the_words_are_served_as_a_script() -> None:
    script = read_assets()["words-es.js"]
    assert script.body.startswith(b"window.words = {")
    assert b"Resumen" in script.body


@pytest.mark.parametrize(
    ("reason", "spanish"),
    [
        ("the model server answered 400 x", "el servidor del modelo respondió 400 x"),
        (
            "Whapi text: status 400 (wrong parameters) code 400",
            "WhatsApp no lo aceptó: 400, parámetros incorrectos",
        ),
        ("Cloud API text: code 131026 (no)", "WhatsApp no lo aceptó: 131026, no"),
        ("another one: (no)", "another one: (no)"),
    ],
)
def test_reasons_of_other_systems_are_in_the_language_of_the_page(
    reason: str, spanish: str
) -> None:
    wording = Wording("es", ZoneInfo("UTC"), 0.0, read_words()["es"])
    assert wording.reason(reason) == spanish


def test_what_the_audit_has_is_in_the_language_of_the_page() -> None:
    now = 1_796_054_540.0
    wording = Wording("es", ZoneInfo("UTC"), now, read_words()["es"])
    until = wording.exact(now + 60)[11:16]
    assert audited(f"paused until {now + 60:.0f}", wording) == f"en pausa hasta {until}"
    later = wording.exact(now + 86400)[:16]
    assert audited(f"paused until {now + 86400:.0f}", wording) == f"en pausa hasta {later}"
    assert audited("1 added, 0 removed", wording) == "1 agregadas, 0 quitadas"
    assert audited("token admin", wording) == "el token de administración"
    assert audited("account María", wording) == "María"
    assert audited("note 3", wording) == "note 3"
