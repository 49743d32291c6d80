"""Names and repeated words of a person in texts: what is found, and what is left alone."""

import json

import pytest

from daemon.ledger.forget.other_texts import RepeatedWords

SAID = "El viernes  llego\na las cinco"
WORDS = RepeatedWords(
    names=["Zoraida Pérez", "Al", "573001234567"], passages=[SAID, "de acuerdo"], instead="X"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hola, Zoraida.", "Hola, X."),
        ("Hola, ZORAIDA pérez", "Hola, X"),
        ("Al llegar, Zoraidas", "Al llegar, Zoraidas"),
        ("Dijo: «el viernes llego a las CINCO».", "Dijo: «X»."),
        ("Está de acuerdo", "Está de acuerdo"),
        ("> de acuerdo\nSí", "> X\nSí"),
        ("[reacted 👍 to: De  acuerdo]", "[reacted 👍 to: X]"),
        ("> otra cosa\nSí", "> otra cosa\nSí"),
    ],
)
def test_our_words_lose_names_and_repeated_text(text: str, left: str) -> None:
    assert WORDS.taken_out(text) == left


def test_words_of_others_lose_only_their_quotations() -> None:
    text = "> El viernes llego a las cinco\nZoraida, el viernes llego a las cinco"
    assert WORDS.unquoted(text) == "> X\nZoraida, el viernes llego a las cinco"


def test_texts_within_json_are_changed_and_everything_else_stays() -> None:
    inner = json.dumps({"note": "para Zoraida", "nights": 2})
    whole = json.dumps([{"arguments": inner, "zoraida": None}, "> de acuerdo"])
    (call, quote) = json.loads(WORDS.taken_out(whole))
    assert json.loads(call["arguments"]) == {"note": "para X", "nights": 2}
    assert ("zoraida" in call, quote) == (True, "> X")
    untouched = '{"a":  "b"}'
    assert WORDS.taken_out(untouched) == untouched
    assert WORDS.taken_out("{Zoraida") == "{X"


def test_a_long_quotation_is_known_by_its_beginning() -> None:
    words = RepeatedWords(names=[], passages=["palabra " * 100], instead="X")
    assert words.unquoted("> " + ("palabra " * 100)[:300]) == "> X"
    assert words.taken_out("Zoraida") == "Zoraida"
