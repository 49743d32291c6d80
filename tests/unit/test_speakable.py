"""Which answers are spoken, and how they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.rendering.split import MAX_PARTS, is_fit, spoken_parts, spoken_words

FIT = [
    "Con mucho gusto, la esperamos el viernes.",
    "¡Claro! 😊 El check-in es a las 3:00 pm y el desayuno hasta las 10.",
    "Quedan dos habitaciones para el 12 de diciembre de 2026.",
    "Está en el *segundo* piso, habitación 301.",
    "Llegue 2 horas antes. Son 15 min a pie.",
    "- Toallas\n- Jabón",
]
UNFIT = [
    "Cuesta $180.000 la noche.",
    "Son 180 mil pesos",
    "Le sale en 95 USD",
    "El 10% se paga al llegar",
    "Mire https://example.com/menu",
    "Escriba a reservas@example.com",
    "Entre en hotel-sol.com.co",
    "Llame al 300 123 4567",
    "Su reserva es la 48213",
    "El código es A1B2C3",
    "La clave del wifi es `sol`",
    "Referencia HS-77",
    "- Toallas\n- Jabón\n- Champú",
    "1. Uno\n2. Dos\n3. Tres",
    "| cuarto | noches |\n|---|---|",
    "😊👍",
    "",
]
SENTENCES = st.lists(
    st.text(alphabet="abcdeé ,", min_size=3, max_size=60).filter(str.strip), min_size=1, max_size=20
).map(lambda parts: " ".join(f"a{part.strip()}." for part in parts))


@pytest.mark.parametrize("text", FIT)
def test_plain_words_are_spoken(text: str) -> None:
    assert is_fit(text)
    assert len(spoken_parts(text, most=700)) == 1


@pytest.mark.parametrize("text", UNFIT)
def test_text_that_has_to_be_read_is_written(text: str) -> None:
    assert not is_fit(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("¡Hola! 😊👩🏽‍💻", "¡Hola!"),
        ("*Hola* _mundo_ ~no~", "Hola mundo no"),
        ("- uno\n• dos\n\n> tres", "uno\ndos\ntres"),
        ("dos*tres y a_b", "dos*tres y a_b"),
        ("Uno ➡️ dos ✅", "Uno dos"),
    ],
)
def test_spoken_text_has_no_emoji_and_no_marks(text: str, words: str) -> None:
    assert spoken_words(text) == words


def test_a_long_answer_is_cut_between_sentences() -> None:
    assert spoken_parts("Uno dos. Tres cuatro. ¿Cinco? Seis.", most=22) == [
        "Uno dos. Tres cuatro.",
        "¿Cinco? Seis.",
    ]


@pytest.mark.parametrize("text", ["palabra " * 20, "Sí. " * 200, "Bueno, sí.\n\n😊😊😊"])
def test_text_that_cannot_be_split_for_speech_is_written(text: str) -> None:
    """A sentence that is too long, too many parts, a part without words."""
    assert spoken_parts(text, most=10) == []


@given(SENTENCES, st.integers(min_value=70, max_value=200))
def test_no_word_is_lost_or_sent_twice(text: str, most: int) -> None:
    parts = spoken_parts(text, most=most)
    assert all(0 < len(part) <= most for part in parts)
    assert len(parts) <= MAX_PARTS
    if parts:
        assert " ".join(parts).split() == text.split()


@given(st.text(max_size=300))
def test_any_text_can_be_looked_at(text: str) -> None:
    parts = spoken_parts(text, most=50)
    assert is_fit(text) in {True, False}
    assert "".join("".join(parts).split()) in {"", "".join(text.split())}
    assert all(map(str.strip, map(spoken_words, parts)))
