"""What the simulated model says by itself."""

import base64
import json
from typing import Any

import pytest

from daemon.domain.rendering import opus
from daemon.domain.rendering.opus import spoken_seconds
from daemon.sandbox import audio, model_answers, model_media, samples
from daemon.sandbox.model_wire import CallTool, Say

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
    (output,) = model_answers.answer(items, tools)
    assert isinstance(output, Say)
    return output.text


def calls(*items: dict[str, Any], tools: tuple[dict[str, Any], ...]) -> tuple[str, Any]:
    (output,) = model_answers.answer(items, tools)
    assert isinstance(output, CallTool)
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
        ("Remind me at 8:05 to bring it", "en"),
    ],
)
def test_the_customers_language(text: str, language: str) -> None:
    assert model_answers.language_of(text) == language


def test_the_context_head_is_not_the_customers() -> None:
    head = "Fecha: 23/11/2026 | Hora: 9:00 AM\nCliente: Ana\n---\nMensaje del cliente:\nhola"
    assert model_answers.customer_burst([user(head)])[0] == ["hola"]


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


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {}}


def test_a_reminder_has_the_customers_day_time_and_words() -> None:
    asked = user("Remind me on 24/12/2026 at 8:05 to bring the passports")
    assert calls(asked, tools=(named("remind"), named("search_knowledge"))) == (
        "remind",
        {"when": "2026-12-24T08:05", "text": "bring the passports", "cancel_on": "nothing"},
    )
    today = {"role": "developer", "content": "Fecha: 23/11/2026"}
    _, arguments = calls(today, user("Recuérdame mañana"), tools=(named("remind"),))
    assert (arguments["when"], arguments["text"]) == ("2026-11-23T09:00", "Recuérdame mañana")


def test_a_remote_tool_is_called_by_the_words_of_its_name_and_documents_answer_the_rest() -> None:
    documents, tables = named("search_knowledge"), named("dinner__free_tables")
    tools = (documents, tables)
    assert calls(user("Any free tables on 24/12/2026?"), tools=tools)[0] == "dinner__free_tables"
    assert calls(user("Are the tables round?"), tools=tools)[0] == "search_knowledge"
    assert says(user("free today"), tools=tools)
    assert says(user("Are the tables round?"), tools=(tables,))


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


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ('{"passages":[{"source":"a","text":"Dogs"},{"source":"b","text":"Cats"}]}', "Dogs"),
        ('{"output":"19:00","note":"data"}', "19:00"),
        ('{"rooms":["7"]}', '{"rooms":["7"]}'),
    ],
)
def test_of_an_output_in_json_the_model_tells_what_a_customer_may_read(
    output: str, told: str
) -> None:
    item = {"type": "function_call_output", "call_id": "1", "output": output}
    assert f"\n\n{told}\n\n" in says(user("¿y?"), item)


def test_a_search_without_passages_is_answered_with_not_knowing() -> None:
    output = '{"passages": [], "note": "The documents do not answer this. Do not guess."}'
    item = {"type": "function_call_output", "call_id": "1", "output": output}
    assert says(user("¿Hay helipuerto?"), item).startswith("Eso no lo sé.")


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
    assert opus._checksum(b"123456789") == 0x765E7680 ^ 0xFFFFFFFF
    assert audio.placeholder_sound("opus", 2.5).count(b"OggS") == 5


def picture(name: str) -> dict[str, str]:
    data = base64.b64encode(samples.read(name)).decode()
    return {"type": "input_image", "image_url": f"data:image/jpeg;base64,{data}"}


def text(words: str) -> dict[str, str]:
    return {"type": "input_text", "text": words}


@pytest.mark.parametrize(
    ("parts", "perceived"),
    [
        (
            [text("hola\n[image] mira"), picture("lake.jpg"), text("[image]"), picture("boat.jpg")],
            [
                "«hola»",
                "una imagen en la que veo un lago con un velero al atardecer, con el texto «mira»",
                "una imagen en la que veo un velero que llega a la orilla",
            ],
        ),
        (
            [text("[image that could not be loaded] mira\nqué tal\nbien")],
            ["una imagen, con el texto «mira»", "«qué tal bien»"],
        ),
        (
            [
                text(
                    "> antes\n[voice note] buenas tardes\n"
                    "[voice note of 7 s that could not be heard]"
                )
            ],
            [
                "tu nota de voz, que dice «buenas tardes»",
                "una nota de voz que no pude escuchar (¿me la escribes?)",
            ],
        ),
        (
            [
                text(
                    "[document menu.pdf, 2 pages; its text:]\nSopa\n[end of document menu.pdf]\n¿y?"
                )
            ],
            ["el documento «menu.pdf»", "«¿y?»"],
        ),
        (
            [text("[location 4.71100, -74.07210] Hotel Sol\n[contacts] Pedro: +573007654321")],
            ["tu ubicación, Hotel Sol", "el contacto de Pedro"],
        ),
        (
            [text("[voted in the poll: ¿?] viernes\n[reacted 👍 to: hola]\n[forwarded] oye")],
            ["tu voto por «viernes»", "tu reacción", "«oye»"],
        ),
        ([text("[order] 2 panes")], ["«2 panes»"]),
        ([{"type": "input_image", "image_url": "https://example.com/x"}], ["una imagen"]),
    ],
)
def test_every_kind_of_message_is_described_to_the_simulated_model(
    parts: list[dict[str, str]], perceived: list[str]
) -> None:
    assert model_media.perceived(parts, "es") == perceived


def test_a_voice_of_the_sample_and_of_the_model_can_be_played() -> None:
    """As many seconds as asked, in Opus packets that a player knows."""
    made = audio.placeholder_sound("opus", 7)
    assert spoken_seconds(made) == 7
    assert made[made.index(b"OpusHead") :].count(b"OggS") == 8
    assert len(made) > 10_000
    assert samples.words_of_voice(b"form " + samples.read("voice-arrival.ogg")).startswith("Buenas")
    assert samples.words_of_voice(b"other") == ""
