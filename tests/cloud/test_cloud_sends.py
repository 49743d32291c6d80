"""What the Cloud API is sent."""

import base64
from typing import Any

import pytest

from daemon.domain.rendering.outgoing import (
    ListRow,
    Outgoing,
    buttons_part,
    contact_part,
    list_part,
    location_part,
    reaction_part,
)
from daemon.gateway.cloud.payloads.sends import (
    KINDS,
    NoRecipient,
    read_receipt,
    send_call,
    upload_call,
)

ID = "106540352242922"
CHAT = "573001234567@s.whatsapp.net"
OGG = f"data:audio/ogg;base64,{base64.b64encode(b'OggS').decode()}"


def sent(message: Outgoing, chat: str = CHAT, media_id: str = "") -> dict[str, Any]:
    """The content of the call that sends a message."""
    call = send_call(ID, chat, message, media_id=media_id)
    assert (call.method, call.path) == ("POST", f"/{ID}/messages")
    assert call.content is not None
    assert call.content["messaging_product"] == "whatsapp"
    return call.content


@pytest.mark.parametrize(
    ("chat", "recipient"),
    [
        (CHAT, {"recipient_type": "individual", "to": "573001234567"}),
        ("CO.1349@bsuid", {"recipient_type": "individual", "recipient": "CO.1349"}),
        ("CO.ENT.1349@bsuid", {"recipient_type": "individual", "recipient": "CO.ENT.1349"}),
        ("Y2FwaV9@g.us", {"recipient_type": "group", "to": "Y2FwaV9"}),
    ],
)
def test_a_user_id_is_never_in_the_place_of_a_number(chat: str, recipient: Any) -> None:
    content = sent(Outgoing(body="Hola"), chat)
    keys = ("recipient_type", "to", "recipient")
    assert {k: content[k] for k in keys if k in content} == recipient


@pytest.mark.parametrize("chat", ["88012345678901@lid", "status@broadcast"])
def test_contacts_without_an_id_of_the_cloud_api_are_refused(chat: str) -> None:
    with pytest.raises(NoRecipient):
        send_call(ID, chat, Outgoing(body="Hola"))


@pytest.mark.parametrize("kind", ["poll", "carrier pigeon"])
def test_a_kind_that_there_is_not_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        send_call(ID, CHAT, Outgoing(kind=kind))


def test_a_quote_and_a_tag_go_along() -> None:
    content = sent(Outgoing(body="Hola", quoted="wamid.0", tag="17-1", link_preview=True))
    assert content["context"] == {"message_id": "wamid.0"}
    assert content["biz_opaque_callback_data"] == "17-1"
    assert content["text"] == {"body": "Hola", "preview_url": True}
    assert "context" not in sent(Outgoing(body="Hola"))


def test_a_text_may_be_a_template() -> None:
    payload = {"template": {"name": "seguimos_aqui", "language": "es"}}
    content = sent(Outgoing(body="[template seguimos_aqui]", payload=payload))
    assert content["type"] == "template"
    assert content["template"] == {
        "name": "seguimos_aqui",
        "language": {"policy": "deterministic", "code": "es"},
    }


@pytest.mark.parametrize(
    ("message", "media_id", "kind", "fields"),
    [
        (Outgoing(kind="voice", media=OGG), "m1", "audio", {"id": "m1", "voice": True}),
        (
            Outgoing(kind="image", body="La vista", media="https://example.com/a.jpg"),
            "",
            "image",
            {"link": "https://example.com/a.jpg", "caption": "La vista"},
        ),
        (
            Outgoing(kind="document", media=OGG, payload={"filename": "a.pdf"}),
            "m2",
            "document",
            {"id": "m2", "filename": "a.pdf"},
        ),
    ],
)
def test_a_file_is_named_by_its_id_or_its_address(
    message: Outgoing, media_id: str, kind: str, fields: Any
) -> None:
    content = sent(message, media_id=media_id)
    assert content["type"] == kind
    assert content[kind] == fields


def test_bodies_of_messages_from_tools() -> None:
    place = location_part(4.6, -74.08, name="Hotel")
    content = sent(Outgoing(kind="location", payload=place.payload))
    assert content["location"] == {"latitude": 4.6, "longitude": -74.08, "name": "Hotel"}
    card = contact_part("Pedro", "+57 300 765 4321", organisation="Taxis")
    (contact,) = sent(Outgoing(kind="contact", payload=card.payload))["contacts"]
    assert contact["name"]["formatted_name"] == "Pedro"
    assert contact["phones"][0]["wa_id"] == "573007654321"
    assert contact["org"] == {"company": "Taxis"}
    thumb = reaction_part("👍", "wamid.0")
    content = sent(Outgoing(kind="reaction", payload=thumb.payload))
    assert content["reaction"] == {"message_id": "wamid.0", "emoji": "👍"}


def test_buttons_and_lists() -> None:
    asked = buttons_part("¿Confirma?", {"si": "Sí", "no": "No"}, header="Reserva", footer="Hotel")
    content = sent(Outgoing(kind="buttons", body=asked.body, payload=asked.payload))["interactive"]
    assert content["type"] == "button"
    assert content["body"] == {"text": "¿Confirma?"}
    assert content["action"]["buttons"][0] == {
        "type": "reply",
        "reply": {"id": "si", "title": "Sí"},
    }
    assert content["header"] == {"type": "text", "text": "Reserva"}
    assert content["footer"] == {"text": "Hotel"}
    rows = [ListRow(id="1", title="Doble", section="Cuartos"), ListRow(id="2", title="Cena")]
    asked = list_part("¿Cuál?", "Ver", rows)
    action = sent(Outgoing(kind="list", body=asked.body, payload=asked.payload))["interactive"]
    assert action["action"] == {
        "button": "Ver",
        "sections": [
            {"title": "Cuartos", "rows": [{"id": "1", "title": "Doble"}]},
            {"title": "Ver", "rows": [{"id": "2", "title": "Cena"}]},
        ],
    }


def test_a_file_is_uploaded_as_a_form() -> None:
    call = upload_call(ID, Outgoing(kind="voice", media=OGG))
    assert call is not None
    assert call.path == f"/{ID}/media"
    boundary = call.content_type.removeprefix("multipart/form-data; boundary=")
    parts = call.body.split(f"--{boundary}".encode())
    assert len(parts) == 5
    assert b'name="messaging_product"\r\n\r\nwhatsapp\r\n' in parts[1]
    assert b'name="type"\r\n\r\naudio/ogg\r\n' in parts[2]
    assert parts[3].endswith(b"Content-Type: audio/ogg\r\n\r\nOggS\r\n")
    assert parts[4] == b"--\r\n"


@pytest.mark.parametrize(
    "message",
    [Outgoing(body="Hola"), Outgoing(kind="image", media="https://example.com/a.jpg")],
)
def test_parts_without_a_file_have_no_upload(message: Outgoing) -> None:
    assert upload_call(ID, message) is None


@pytest.mark.parametrize("uri", ["data:image/png", "data:image/png;base64,A"])
def test_a_file_that_cannot_be_read_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        upload_call(ID, Outgoing(kind="image", media=uri))


def test_a_receipt_shows_that_we_type() -> None:
    call = read_receipt(ID, "wamid.1")
    assert call.content == {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.1",
        "typing_indicator": {"type": "text"},
    }


def test_every_kind_but_the_poll_is_there() -> None:
    assert {
        "text", "voice", "image", "document", "location", "contact", "buttons", "list", "reaction",
    } == KINDS  # fmt: skip
