"""What the simulated model says by itself."""

import json
from typing import Any

import pytest

from daemon.sandbox import model_audio, model_wit
from daemon.sandbox.model_script import Call, Say

CONTEXT = {
    "type": "function",
    "name": "get_conversation_context",
    "parameters": {
        "type": "object",
        "properties": {"context_level": {"type": "string", "enum": ["recent_50", "recent_100"]}},
        "required": ["context_level"],
    },
}
AVAILABILITY = {
    "type": "function",
    "name": "check_availability",
    "parameters": {
        "type": "object",
        "properties": {
            "startDate": {"type": "string"},
            "endDate": {"type": "string"},
            "guests": {"type": "integer"},
            "roomId": {"type": "string"},
        },
        "required": ["startDate", "endDate", "guests"],
    },
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def says(*items: dict[str, Any], tools: tuple[dict[str, Any], ...] = ()) -> str:
    (output,) = model_wit.answer(items, tools)
    assert isinstance(output, Say)
    return output.text


def calls(*items: dict[str, Any], tools: tuple[dict[str, Any], ...]) -> tuple[str, Any]:
    (output,) = model_wit.answer(items, tools)
    assert isinstance(output, Call)
    return output.name, json.loads(output.arguments)


def test_a_burst_is_answered_as_one() -> None:
    """Each message is mentioned, older ones are not, and a question follows."""
    text = says(
        user("antes"), {"role": "assistant", "content": "ya"}, user("hola"), user("¿tienen wifi?")
    )
    assert "«hola» y «¿tienen wifi?»" in text
    assert "antes" not in text
    assert text.endswith("?")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello, do you have a room?", "en"),
        ("Hola, ¿tienen una habitación?", "es"),
        ("ok", "es"),
        ("Thanks!", "en"),
    ],
)
def test_the_customers_language(text: str, language: str) -> None:
    assert model_wit.language_of(text) == language


def test_the_context_head_is_not_the_customers() -> None:
    head = "Fecha: 23/11/2026 | Hora: 9:00 AM\nCliente: Ana\n---\nMensaje del cliente:\nhola"
    assert model_wit.customer_burst([user(head)])[0] == ["hola"]


def test_information_comes_in_paragraphs() -> None:
    """So that the phone shows several chunks, one of them a list."""
    text = says(user("quiero información"))
    assert text.count("\n\n") >= 3
    assert "\n- " in text


def test_availability_is_asked_of_the_tool() -> None:
    """With the customer's dates, or from the day that the context names."""
    dated = user("¿Disponibilidad del 24/12/2026 al 27/12/2026?")
    assert calls(dated, tools=(AVAILABILITY,)) == (
        "check_availability",
        {"startDate": "2026-12-24", "endDate": "2026-12-27", "guests": 1},
    )
    today = {"role": "developer", "content": "Fecha: 23/11/2026"}
    _, arguments = calls(today, user("any availability?"), tools=(CONTEXT, AVAILABILITY))
    assert (arguments["startDate"], arguments["endDate"]) == ("2026-11-23", "2026-11-25")
    assert says(user("¿hay disponibilidad?"))


def test_the_past_is_asked_of_the_tool() -> None:
    name, arguments = calls(user("¿de qué hablamos ayer?"), tools=(CONTEXT,))
    assert (name, arguments) == ("get_conversation_context", {"context_level": "recent_50"})


def test_tool_output_is_used() -> None:
    """All outputs at the end, in order, and no second call."""
    text = says(
        user("¿hay disponibilidad?"),
        {"type": "function_call", "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": "libre 1722-A"},
        {"type": "function_call_output", "call_id": "2", "output": [{"text": "libre 1820-A"}]},
        tools=(AVAILABILITY,),
    )
    assert text.index("1722-A") < text.index("1820-A")


def test_the_instruction_of_a_hand_over_is_followed_and_not_recited() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "escalate_to_human", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "Tell the customer …"}
    reply = says(user("quiero hablar con un asesor"), call, output)
    assert "Tell the customer" not in reply
    assert "una persona de nuestro equipo" in reply


def test_pictures_and_thanks() -> None:
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}
    assert "una imagen" in says(picture)
    assert "gusto" in says(user("¡Muchas gracias!"))


def test_ogg_pages_carry_their_checksum() -> None:
    """It is the CRC-32 of POSIX cksum without the final inversion, whose check value is known."""
    assert model_audio._checksum(b"123456789") == 0x765E7680 ^ 0xFFFFFFFF
    assert model_audio.silence("opus", 2.5).count(b"OggS") == 5
