"""Cutting replies into messages: as a person would, and without losing a word."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.writing.split import MAX_CHUNK, pause_before_next, split_reply

CASES = [
    pytest.param("", [], id="nothing"),
    pytest.param(" \n\t \n ", [], id="only space"),
    pytest.param("¡Hola, Laura!", ["¡Hola, Laura!"], id="one line"),
    pytest.param(
        "¡Hola, Laura!\n\n  Sí, tenemos cupo para el viernes.  \n\n\n¿Te reservo?\n",
        ["¡Hola, Laura!", "Sí, tenemos cupo para el viernes.", "¿Te reservo?"],
        id="paragraphs",
    ),
    pytest.param(
        "Dos líneas\nque van juntas\n\nOtro párrafo",
        ["Dos líneas\nque van juntas", "Otro párrafo"],
        id="lines inside paragraphs stay",
    ),
    pytest.param(
        "Uno\n \t\nDos\n\u00a0\nTres", ["Uno", "Dos\n\u00a0\nTres"], id="blank lines with spaces"
    ),
    pytest.param(
        "Tenemos estas habitaciones:\n\n- Sencilla: $120.000\n- Doble: $180.000\n\n¿Cuál te gusta?",
        [
            "Tenemos estas habitaciones:\n- Sencilla: $120.000\n- Doble: $180.000",
            "¿Cuál te gusta?",
        ],
        id="a heading keeps its list",
    ),
    pytest.param(
        "Claro que sí.\nPara reservar necesito:\n• Nombre completo\n• Fechas\n• Correo\n"
        "Con eso te confirmo.",
        [
            "Claro que sí.",
            "Para reservar necesito:\n• Nombre completo\n• Fechas\n• Correo",
            "Con eso te confirmo.",
        ],
        id="a list in single-spaced text",
    ),
    pytest.param(
        "Our rooms:\n1. Single\n2. Double\n10) Suite\nPayment:\n* Card\n* Cash",
        ["Our rooms:\n1. Single\n2. Double\n10) Suite", "Payment:\n* Card\n* Cash"],
        id="two lists",
    ),
    pytest.param(
        "- solo\n- una lista\n- sin título", ["- solo\n- una lista\n- sin título"], id="bare list"
    ),
    pytest.param(
        "Primera línea\nSegunda línea\nTercera línea",
        ["Primera línea\nSegunda línea\nTercera línea"],
        id="lines without a list stay together",
    ),
    pytest.param(
        "La hora es esta:\nlas 3 de la tarde",
        ["La hora es esta:\nlas 3 de la tarde"],
        id="a colon without a list is no heading",
    ),
    pytest.param(
        "Son 2.500 metros y -5 grados\n3 noches",
        ["Son 2.500 metros y -5 grados\n3 noches"],
        id="numbers are no bullets",
    ),
    pytest.param("*Importante*\nTraer documento", ["*Importante*\nTraer documento"], id="bold"),
]


@pytest.mark.parametrize(("reply", "chunks"), CASES)
def test_replies_are_cut_as_a_person_would(reply: str, chunks: list[str]) -> None:
    assert split_reply(reply) == chunks


@pytest.mark.parametrize(
    ("reply", "chunks"),
    [
        ("uno dos tres cuatro", ["uno dos", "tres", "cuatro"]),
        ("Es así. Lo otro no", ["Es así.", "Lo otro", "no"]),
        ("uno\ndos tres", ["uno", "dos tres"]),
        ("abcdefghijklmnop", ["abcdefgh", "ijklmnop"]),
        ("12345678", ["12345678"]),
        ("👩👩👩👩👩👩👩👩👩", ["👩👩👩👩👩👩👩👩", "👩"]),
    ],
)
def test_what_is_too_long_is_cut_where_it_hurts_least(reply: str, chunks: list[str]) -> None:
    assert split_reply(reply, max_chunk=8) == chunks


texts = st.text(
    st.sampled_from(list("ab .:,-*•1)é👩\n\t\u00a0\u2028\r\x0b")) | st.characters(), max_size=400
)
limits = st.integers(1, 60)


@given(texts, limits)
@example("x:\n- a\ny", 3)
@example("\u2028- a\x0b", 5)
def test_no_word_is_lost_or_added_or_moved(reply: str, limit: int) -> None:
    chunks = split_reply(reply, max_chunk=limit)
    assert "".join("".join(chunks).split()) == "".join(reply.split())


@given(texts, limits)
def test_every_chunk_can_be_sent(reply: str, limit: int) -> None:
    chunks = split_reply(reply, max_chunk=limit)
    assert all(chunk.strip() and len(chunk) <= limit for chunk in chunks)
    assert all(chunk == chunk.strip() for chunk in chunks)
    assert bool(chunks) == bool(reply.strip())


@given(st.lists(st.sampled_from(["Uno", "Dos palabras", "Y otra."]), min_size=2))
def test_each_paragraph_is_a_message(paragraphs: list[str]) -> None:
    assert split_reply("\n\n".join(paragraphs)) == paragraphs


def test_a_chunk_is_by_default_as_long_as_whatsapp_allows() -> None:
    assert [len(chunk) for chunk in split_reply("x" * (2 * MAX_CHUNK + 1))] == [4096, 4096, 1]


@pytest.mark.parametrize(("length", "seconds"), [(0, 0), (100, 0.2), (500, 1), (4096, 1)])
def test_the_pause_grows_with_the_chunk_up_to_a_second(length: int, seconds: float) -> None:
    assert pause_before_next("x" * length) == pytest.approx(seconds)


def test_a_list_with_blank_lines_stays_with_its_heading() -> None:
    """Models like to put air between the items."""
    text = "Tenemos:\n\n- La 101\n\n- La 102\n\n¿Cuál prefieres?"
    assert split_reply(text) == ["Tenemos:\n- La 101\n- La 102", "¿Cuál prefieres?"]
