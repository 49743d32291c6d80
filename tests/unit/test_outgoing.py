"""Messages that are more than words: how they are made, and found again."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from daemon.domain.messages import Message
from daemon.domain.records import NewPart
from daemon.domain.rendering.outgoing import (
    ListRow,
    Outgoing,
    buttons_part,
    contact_part,
    likeness,
    likeness_of,
    list_part,
    location_part,
    media_part,
    poll_part,
    reaction_part,
    shown_line,
)
from daemon.domain.rendering.vcards import read_card
from daemon.gateway.whapi.payloads.parser import parse_messages
from daemon.gateway.whapi.payloads.sends import send_call

CHAT = "573001234567@s.whatsapp.net"
PARTS: dict[str, NewPart] = {
    "text": NewPart("Hola"),
    "voice": NewPart("Hola", kind="voice", payload={"file": "voice_1_2.ogg", "seconds": 2}),
    "image": media_part("image", "https://example.com/a.jpg", "La vista"),
    "bare image": media_part("image", "https://example.com/a.jpg", ""),
    "document": media_part("document", "https://example.com/a.pdf", "Su cuenta", filename="c.pdf"),
    "location": location_part(4.711, -74.0721, name="Hotel Sol"),
    "contact": contact_part("Pedro, guía", "+57 300 765 4321", email="pedro@example.com"),
    "poll": poll_part("¿Qué día?", ["Sábado", "Domingo"]),
    "buttons": buttons_part("¿Confirma?", {"si": "Sí", "no": "No"}, footer="Hotel"),
    "list": list_part("¿Cuál?", "Ver", [ListRow(id="1", title="Doble", section="Cuartos")]),
}
COMES_BACK: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": {"body": "Hola"}},
    "voice": {"type": "voice", "voice": {"id": "oga-1-2", "file_size": 9, "seconds": 3}},
    "image": {"type": "image", "image": {"id": "jpeg-1-2", "caption": "La vista"}},
    "bare image": {"type": "image", "image": {"id": "jpeg-1-2"}},
    "document": {
        "type": "document",
        "document": {"id": "pdf-1-2", "caption": "Su cuenta", "file_name": "c.pdf"},
    },
    "location": {"type": "location", "location": {"latitude": 4.71100001, "longitude": -74.0721}},
    "contact": {"type": "contact", "contact": {"name": "Pedro, guía", "vcard": "BEGIN:VCARD"}},
    "poll": {"type": "poll", "poll": {"title": "¿Qué día?", "options": ["Sábado", "Domingo"]}},
    "buttons": {
        "type": "interactive",
        "interactive": {
            "type": "button",
            "header": {"text": "Hotel"},
            "body": {"text": "¿Confirma?"},
            "action": {"buttons": [{"type": "quick_reply", "title": "Sí", "id": "si"}]},
        },
    },
    "list": {
        "type": "interactive",
        "interactive": {"type": "list", "body": {"text": "¿Cuál?"}, "action": {"list": {}}},
    },
}
"""Each as Whapi tells of it, in the shapes of its OpenAPI document."""


def read_back(content: dict[str, Any]) -> Message:
    """A message of ours as it is read from Whapi's JSON."""
    head = {"id": "m-1", "from_me": True, "source": "api", "chat_id": CHAT, "timestamp": 1}
    (message,) = parse_messages(msgspec.json.encode({"messages": [head | content]}))
    return message


@pytest.mark.parametrize("name", PARTS)
def test_a_message_is_found_again_and_no_other_is_taken_for_it(name: str) -> None:
    part = PARTS[name]
    alike = [
        other
        for other, content in COMES_BACK.items()
        if likeness_of(read_back(content)) == likeness(part.kind, part.body, part.payload)
    ]
    assert alike == [name]


@pytest.mark.parametrize(
    "content",
    [
        {"type": "action", "action": {"type": "reaction", "target": "m-0", "emoji": "👍"}},
        {"type": "sticker", "sticker": {"id": "webp-1-2"}},
        {"type": "live_location", "live_location": {"latitude": 4.711, "longitude": -74.0721}},
        {"type": "system", "system": {"body": "Hola"}},
        {"type": "contact_list", "contact_list": {"list": [{"name": "Pedro"}, {"name": "Ana"}]}},
    ],
)
def test_types_that_we_never_send_match_nothing(content: dict[str, Any]) -> None:
    assert likeness_of(read_back(content)) == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: media_part("image", "http://example.com/a.jpg", ""), "https"),
        (lambda: media_part("image", "https://me:pw@example.com/a", ""), "https"),
        (lambda: media_part("image", "https://[oops/a", ""), "https"),
        (lambda: media_part("image", "file:///etc/passwd", ""), "https"),
        (lambda: media_part("image", "", ""), "no address"),
        (lambda: media_part("document", "a.pdf", "x" * 1025), "caption"),
        (lambda: location_part(91, 0), "place"),
        (lambda: location_part(float("nan"), 0), "place"),
        (lambda: contact_part(" ", "573007654321"), "name"),
        (lambda: contact_part("Pedro", "3007"), "number"),
        (lambda: contact_part("Pedro", "57300765432a"), "number"),
        (lambda: contact_part("Pedro", "00573007654321"), "number"),
        (lambda: contact_part("Pedro", "0300 765 4321"), "number"),
        (lambda: contact_part("Pedro", "٥٧٣٠٠٧٦٥٤٣٢١"), "number"),
        (lambda: contact_part("Pedro", "573007654321;waid=1"), "number"),
        (lambda: contact_part("Pedro", "573007654321", email="x" * 101), "card"),
        (lambda: poll_part("", ["a", "b"]), "question"),
        (lambda: poll_part("¿?", ["a"]), "options"),
        (lambda: poll_part("¿?", [str(n) for n in range(13)]), "options"),
        (lambda: poll_part("¿?", ["a", "a "]), "same"),
        (lambda: poll_part("¿?", ["a", "b" * 101]), "option"),
        (lambda: buttons_part("¿?", {}), "buttons"),
        (lambda: buttons_part("¿?", {str(n): "x" for n in range(4)}), "buttons"),
        (lambda: buttons_part("¿?", {"a": "x" * 21}), "title"),
        (lambda: buttons_part(" ", {"a": "x"}), "question"),
        (lambda: list_part("¿?", "", [ListRow(id="1", title="x")]), "label"),
        (lambda: list_part("¿?", "Ver", [ListRow(id="1", title="x")] * 2), "same id"),
        (lambda: list_part("¿?", "Ver", [ListRow(id="1", title="x", description="y" * 73)]), "72"),
        (lambda: reaction_part("hola", "m-1"), "emoji"),
        (lambda: reaction_part("👍", ""), "no message"),
    ],
    ids=[f"fault {number}" for number in range(30)],
)
def test_content_that_whatsapp_rejects_is_refused_with_a_reason(
    make: Callable[[], NewPart], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("emoji", ["👍", "❤️", "👩🏽‍💻", "1️⃣", ""])
def test_any_emoji_may_be_a_reaction(emoji: str) -> None:
    assert reaction_part(emoji, "m-1").payload == {"emoji": emoji, "target": "m-1"}


def test_each_kind_is_sent_in_whapis_form() -> None:
    """Paths and fields as in Whapi's OpenAPI document."""
    calls = {
        name: send_call(
            CHAT, Outgoing(kind=p.kind, body=p.body, payload=p.payload, media="m", quoted="q-1")
        )
        for name, p in PARTS.items()
    }
    assert {name: (c.method, c.path) for name, c in calls.items()} == {
        "text": ("POST", "/messages/text"),
        "voice": ("POST", "/messages/voice"),
        "image": ("POST", "/messages/image"),
        "bare image": ("POST", "/messages/image"),
        "document": ("POST", "/messages/document"),
        "location": ("POST", "/messages/location"),
        "contact": ("POST", "/messages/contact"),
        "poll": ("POST", "/messages/poll"),
        "buttons": ("POST", "/messages/interactive"),
        "list": ("POST", "/messages/interactive"),
    }
    contents = {name: dict(c.content or {}) for name, c in calls.items()}
    assert all(content.pop("to") == CHAT for content in contents.values())
    assert all(content.pop("quoted") == "q-1" for content in contents.values())
    assert contents["text"] == {"body": "Hola", "no_link_preview": True}
    assert contents["voice"] == {"media": "m", "seconds": 2}
    assert contents["document"] == {"media": "m", "caption": "Su cuenta", "filename": "c.pdf"}
    assert contents["bare image"] == {"media": "m"}
    assert contents["location"] == {"latitude": 4.711, "longitude": -74.0721, "name": "Hotel Sol"}
    assert contents["poll"] == {
        "title": "¿Qué día?",
        "options": ["Sábado", "Domingo"],
        "count": 1,
    }
    assert contents["contact"] == {
        "name": "Pedro, guía",
        "vcard": "BEGIN:VCARD\nVERSION:3.0\nN:;Pedro\\, guía;;;\nFN:Pedro\\, guía\n"
        "TEL;type=CELL;waid=573007654321:+573007654321\nEMAIL:pedro@example.com\nEND:VCARD",
    }
    assert contents["buttons"] == {
        "type": "button",
        "body": {"text": "¿Confirma?"},
        "footer": {"text": "Hotel"},
        "action": {
            "buttons": [
                {"type": "quick_reply", "id": "si", "title": "Sí"},
                {"type": "quick_reply", "id": "no", "title": "No"},
            ]
        },
    }
    assert contents["list"]["action"] == {
        "list": {
            "label": "Ver",
            "sections": [{"title": "Cuartos", "rows": [{"id": "1", "title": "Doble"}]}],
        }
    }


def test_a_reaction_goes_to_its_message_and_mentions_go_along() -> None:
    reaction = reaction_part("👍", "a/b")
    call = send_call(CHAT, Outgoing(kind="reaction", payload=reaction.payload))
    assert (call.method, call.path) == ("PUT", "/messages/a%2Fb/reaction")
    assert call.content == {"emoji": "👍"}
    mentioned = Outgoing(
        body="@573007654321 hola", payload={"mentions": ["573007654321"]}, link_preview=True
    )
    content = send_call(CHAT, mentioned).content or {}
    assert (content["mentions"], content["no_link_preview"]) == (["573007654321"], False)
    with pytest.raises(ValueError, match="carrier pigeon"):
        send_call(CHAT, Outgoing(kind="carrier pigeon"))


def test_a_card_of_ours_is_read_as_it_was_meant() -> None:
    part = contact_part("Ana; Sol\\y", "573007654321", organisation="Hotel, S.A.")
    card = read_card(part.payload["vcard"])
    assert (card.name, card.numbers) == ("Ana; Sol\\y", ("+573007654321",))
    assert card.organisation == "Hotel, S.A."


@pytest.mark.parametrize(
    "number", ["+57 (300) 765-43.21", "\u202a+57\u00a0300\u2011765\u20114321\u202c", "573007654321"]
)
def test_a_number_is_taken_as_telephones_write_it(number: str) -> None:
    assert contact_part("Pedro", number).payload["number"] == "+573007654321"


@pytest.mark.parametrize(
    "hostile",
    ["Ana\r\nTEL:+1", "Ana;;\nEND:VCARD\nBEGIN:VCARD", "Ana\u2028N:x", "Ana\x00\x1b\x85N:x"],
)
def test_words_on_a_card_cannot_write_a_line_of_their_own(hostile: str) -> None:
    part = contact_part(hostile, "573007654321", organisation=hostile, email=hostile)
    card = part.payload["vcard"]
    names = [line.partition(":")[0].partition(";")[0] for line in card.splitlines()]
    assert names == ["BEGIN", "VERSION", "N", "FN", "ORG", "TEL", "EMAIL", "END"]
    assert not any(sign < " " for sign in card.replace("\n", ""))
    assert read_card(card).numbers == ("+573007654321",)


def test_a_poll_may_let_several_options_be_chosen() -> None:
    part = poll_part("¿Qué día?", ["Sábado", "Domingo"], several=True)
    call = send_call(CHAT, Outgoing(kind="poll", body=part.body, payload=part.payload))
    assert (call.content or {})["count"] == 0


def test_the_thread_has_the_sent_parts() -> None:
    lines = {n: shown_line(p.kind, p.body, p.payload) for n, p in PARTS.items()}
    assert lines["buttons"] == ("[Sent to the customer by the tool: ¿Confirma? — buttons: Sí, No]")
    assert "Hotel Sol" in lines["location"]
    assert "Doble" in lines["list"]
    assert "Pedro, guía: +573007654321" in lines["contact"]
    assert "¿Qué día? — poll: Sábado, Domingo" in lines["poll"]
    assert lines["bare image"] == "[Sent to the customer by the tool: image]"
