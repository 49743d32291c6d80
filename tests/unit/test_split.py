"""Cutting replies into messages: as a person would, and without losing a word."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.domain.rendering.split import MAX_CHUNK, MAX_WRITTEN, pause_before_next, split_reply

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
    assert split_reply(reply, short=0) == chunks


ROOMS = "Para el viernes quedan dos habitaciones dobles y la suite del último piso."
PRICES = "Las dobles cuestan $180.000 la noche y la suite $320.000, con desayuno."
CODE = '```\n{\n  "a": 1,\n\n\n  "b": 2\n}\n```'


@pytest.mark.parametrize(
    ("paragraphs", "messages"),
    [
        (["¡Hola, Laura!", ROOMS], [[0, 1]]),
        ([ROOMS, PRICES, "Un abrazo, Hotel Sol"], [[0], [1, 2]]),
        (["¡Hola!", ROOMS, "¿Te reservo?", PRICES, "Saludos"], [[0, 1], [2, 3, 4]]),
        (["¡Hola!", "Sí.", "Claro."], [[0, 1, 2]]),
        ([ROOMS, PRICES], [[0], [1]]),
    ],
)
def test_a_greeting_and_a_signature_are_no_messages(
    paragraphs: list[str], messages: list[list[int]]
) -> None:
    told = ["\n\n".join(paragraphs[n] for n in message) for message in messages]
    assert split_reply("\n\n".join(paragraphs)) == told


def test_a_line_that_joins_another_stays_a_line() -> None:
    text = f"{ROOMS}\nNecesito:\n- Nombre\n- Fechas\nGracias."
    assert split_reply(text) == [ROOMS, "Necesito:\n- Nombre\n- Fechas\nGracias."]


def test_code_stays_in_one_piece_with_its_blank_lines() -> None:
    assert split_reply(f"{ROOMS}\n\n{CODE}\n\n{PRICES}") == [ROOMS, CODE, PRICES]
    assert split_reply(f"{ROOMS}\n{CODE}\n{PRICES}", short=0) == [f"{ROOMS}\n{CODE}\n{PRICES}"]


def test_code_that_is_cut_is_code_in_both_pieces() -> None:
    code = "\n".join(f"linea {number};" for number in range(40))
    pieces = split_reply(f"```\n{code}\n```", max_chunk=200)
    assert len(pieces) > 2
    assert all(p.startswith("```\n") and p.endswith("\n```") and len(p) <= 200 for p in pieces)
    assert "\n".join(piece[4:-4] for piece in pieces) == code


def test_an_answer_has_only_so_many_messages() -> None:
    """The shortest neighbours go together, and no words are lost."""
    paragraphs = [ROOMS * times for times in (3, 1, 1, 4, 5, 5, 6)]
    text = "\n\n".join(paragraphs)
    found = split_reply(text)
    assert len(found) == 4
    assert "\n\n".join(found) == text
    assert found[0] == "\n\n".join(paragraphs[:3])
    assert len(split_reply(text, max_bubbles=1)) == 1
    assert len(split_reply(text, max_bubbles=20)) == 7


@pytest.mark.parametrize("size", [30, 1500, 2100, 2800, 4000, 4090])
@pytest.mark.parametrize("start", ["", "```\n"])
def test_every_text_that_is_written_fits_into_four_messages(size: int, start: str) -> None:
    paragraph = ("palabras sueltas " * 300)[:size].strip()
    text = start + "\n\n".join([paragraph] * 600)[: MAX_WRITTEN - 4].strip()
    found = split_reply(text)
    assert len(found) <= 4
    assert all(len(message) <= MAX_CHUNK for message in found)
    assert "".join(found).replace("`", "").split() != []
    assert "".join("".join(found).replace("`", "").split()) == "".join(
        text.replace("`", "").split()
    )


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
def test_long_parts_are_cut_at_the_best_place(reply: str, chunks: list[str]) -> None:
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
    assert len(chunks) <= max(4, 4 * len(reply) / limit + 1)


@given(texts, limits)
def test_every_chunk_can_be_sent(reply: str, limit: int) -> None:
    chunks = split_reply(reply, max_chunk=limit)
    assert all(chunk.strip() and len(chunk) <= limit for chunk in chunks)
    assert all(chunk == chunk.strip() for chunk in chunks)
    assert bool(chunks) == bool(reply.strip())


@given(st.lists(st.sampled_from(["Uno", "Dos palabras", "Y otra."]), min_size=2, max_size=12))
def test_each_paragraph_is_a_message(paragraphs: list[str]) -> None:
    assert split_reply("\n\n".join(paragraphs), short=0, max_bubbles=12) == paragraphs


def test_a_chunk_is_by_default_as_long_as_whatsapp_allows() -> None:
    assert [len(chunk) for chunk in split_reply("x" * (2 * MAX_CHUNK + 1))] == [4096, 4096, 1]


@pytest.mark.parametrize(("length", "seconds"), [(0, 0), (100, 0.2), (500, 1), (4096, 1)])
def test_the_pause_grows_with_the_chunk_up_to_a_second(length: int, seconds: float) -> None:
    assert pause_before_next("x" * length) == pytest.approx(seconds)


def test_a_list_with_blank_lines_stays_with_its_heading() -> None:
    """Models like to put air between the items."""
    text = "Tenemos:\n\n- La 101\n\n- La 102\n\n¿Cuál prefieres?"
    assert split_reply(text, short=0) == ["Tenemos:\n- La 101\n- La 102", "¿Cuál prefieres?"]
