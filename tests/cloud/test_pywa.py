"""Payloads of the Cloud API against pywa, a library that we did not write.

Its sends must be what ours are, and it must read from our simulator's bodies what we read. Skipped
where pywa is not installed: it is no dependency. ``pip install pywa==4.5.0``, then run this file.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.cloud_bodies import AT, LAURA, LAURAS_ID, PHONE_NUMBER_ID, change, contact, message

from daemon.domain.rendering.outgoing import (
    ListRow,
    Outgoing,
    buttons_part,
    contact_part,
    list_part,
    location_part,
)
from daemon.domain.rendering.templates import Template, TemplateButton, template_part
from daemon.gateway.cloud.payloads.sends import read_receipt, send_call
from daemon.gateway.cloud.payloads.webhooks import parse_webhook

pywa: Any = pytest.importorskip("pywa")
types: Any = pytest.importorskip("pywa.types")
templates: Any = pytest.importorskip("pywa.types.templates")

CHAT = f"{LAURA}@s.whatsapp.net"
TEMPLATE = Template(
    name="reserva",
    language="es_CO",
    status="approved",
    header_kind="text",
    header="Hotel {{1}}",
    body="Hola {{1}}, el {{2}}",
    buttons=(TemplateButton(kind="url", title="Ver", url="https://hotel.example.com/{{1}}"),),
)
TEMPLATE_VALUES = {"header": "Mirador", "1": "Laura", "2": "viernes", "button.1": "A17"}
BUTTONS = buttons_part("¿Confirma?", {"si": "Sí", "no": "No"}, header="Reserva", footer="Hotel")
ROWS = [ListRow(id="1", title="Doble", description="2 camas", section="Cuartos")]
LIST = list_part("¿Cuál?", "Ver", ROWS)


class Library:
    """pywa with a transport that keeps what it sends."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        session = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.wa = pywa.WhatsApp(phone_id=PHONE_NUMBER_ID, token="t", session=session)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content))
        found = {"input": LAURA, "wa_id": LAURA, "user_id": LAURAS_ID}
        answer = {"contacts": [found], "messages": [{"id": "wamid.X"}], "success": True}
        return httpx.Response(200, json={"messaging_product": "whatsapp", **answer})


@pytest.fixture
def library() -> Library:
    return Library()


def bare(value: Any) -> Any:
    """A payload without what is empty or says the default, with Meta's words in small letters."""
    if isinstance(value, dict):
        kept = {key: bare(inner) for key, inner in value.items()}
        for key in {"type", "sub_type"} & kept.keys():
            kept[key] = kept[key].lower()
        if "index" in kept:
            kept["index"] = str(kept["index"])
        return {
            key: inner
            for key, inner in kept.items()
            if inner is not False and inner not in (None, "", [])
        }
    return [bare(inner) for inner in value] if isinstance(value, list) else value


def send_template(wa: Any) -> None:
    wa.send_template(
        to=LAURA,
        name="reserva",
        language=templates.TemplateLanguage("es_CO"),
        params=[
            templates.HeaderText.params("Mirador"),
            templates.BodyText.params("Laura", "viernes"),
            templates.URLButton.params(url_variable="A17", index=0),
        ],
    )


SENDS: dict[str, tuple[Callable[[Any], Any], Outgoing, str, str]] = {
    "text": (
        lambda wa: wa.send_message(
            to=LAURA, text="Hola", preview_url=True, reply_to_message_id="wamid.0", tracker="17-1"
        ),
        Outgoing(body="Hola", quoted="wamid.0", tag="17-1", link_preview=True),
        CHAT,
        "",
    ),
    "user id": (
        lambda wa: wa.send_message(to=LAURAS_ID, text="Hola"),
        Outgoing(body="Hola"),
        f"{LAURAS_ID}@bsuid",
        "",
    ),
    "location": (
        lambda wa: wa.send_location(
            to=LAURA, latitude=4.6, longitude=-74.08, name="Hotel", address="Calle 1"
        ),
        Outgoing(
            kind="location",
            payload=location_part(4.6, -74.08, name="Hotel", address="Calle 1").payload,
        ),
        CHAT,
        "",
    ),
    "reaction": (
        lambda wa: wa.send_reaction(to=LAURA, emoji="👍", message_id="wamid.0"),
        Outgoing(kind="reaction", payload={"target": "wamid.0", "emoji": "👍"}),
        CHAT,
        "",
    ),
    "buttons": (
        lambda wa: wa.send_message(
            to=LAURA,
            text="¿Confirma?",
            header="Reserva",
            footer="Hotel",
            buttons=[
                types.Button(title="Sí", callback_data="si"),
                types.Button(title="No", callback_data="no"),
            ],
        ),
        Outgoing(kind="buttons", body=BUTTONS.body, payload=BUTTONS.payload),
        CHAT,
        "",
    ),
    "list": (
        lambda wa: wa.send_message(
            to=LAURA,
            text="¿Cuál?",
            buttons=types.SectionList(
                button_title="Ver",
                sections=[
                    types.Section(
                        title="Cuartos",
                        rows=[
                            types.SectionRow(
                                title="Doble", callback_data="1", description="2 camas"
                            )
                        ],
                    )
                ],
            ),
        ),
        Outgoing(kind="list", body=LIST.body, payload=LIST.payload),
        CHAT,
        "",
    ),
    "image": (
        lambda wa: wa.send_image(to=LAURA, image="https://example.com/a.jpg", caption="La vista"),
        Outgoing(kind="image", body="La vista", media="https://example.com/a.jpg"),
        CHAT,
        "",
    ),
    "document": (
        lambda wa: wa.send_document(to=LAURA, document="123456", filename="a.pdf", caption="c"),
        Outgoing(kind="document", body="c", payload={"filename": "a.pdf"}),
        CHAT,
        "123456",
    ),
    "voice": (
        lambda wa: wa.send_voice(to=LAURA, voice="123456"),
        Outgoing(kind="voice"),
        CHAT,
        "123456",
    ),
    "contact": (
        lambda wa: wa.send_contact(
            to=LAURA,
            contact=types.Contact(
                name=types.Contact.Name(formatted_name="Pedro", first_name="Pedro"),
                phones=[
                    types.Contact.Phone(phone="+573007654321", type="CELL", wa_id="573007654321")
                ],
            ),
        ),
        Outgoing(kind="contact", payload=contact_part("Pedro", "+573007654321").payload),
        CHAT,
        "",
    ),
    "template": (
        send_template,
        Outgoing(payload=template_part(TEMPLATE, TEMPLATE_VALUES).payload),
        CHAT,
        "",
    ),
}


@pytest.mark.parametrize("name", sorted(SENDS))
def test_our_sends_are_what_it_sends(library: Library, name: str) -> None:
    send, message_out, chat, media_id = SENDS[name]
    send(library.wa)
    ours = bare(send_call(PHONE_NUMBER_ID, chat, message_out, media_id=media_id).content)
    theirs = bare(library.sent[-1])
    ours.get("template", {}).get("language", {}).pop("policy", None)
    theirs.get("template", {}).get("language", {}).pop("policy", None)
    assert ours == theirs


def test_a_receipt_with_the_indicator_is_what_it_sends(library: Library) -> None:
    library.wa.indicate_typing(message_id="wamid.1")
    assert read_receipt(PHONE_NUMBER_ID, "wamid.1").content == library.sent[-1]


@pytest.mark.parametrize(
    "element",
    [
        message(),
        message(by=""),
        message("image", content={"id": "m", "mime_type": "image/jpeg", "sha256": "x"}),
        message("reaction", content={"message_id": "wamid.0", "emoji": "👍"}),
        message("location", content={"latitude": 4.6, "longitude": -74.08}),
    ],
    ids=["text", "no number", "image", "reaction", "location"],
)
def test_it_reads_what_we_read(library: Library, element: dict[str, Any]) -> None:
    person = contact(wa_id=element.get("from", ""))
    changes = [change(contacts=[person], messages=[element])]
    update = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": changes}],
    }
    theirs = types.Message.from_update(library.wa, update)
    (ours,) = parse_webhook(json.dumps(update).encode()).messages
    assert (ours.id, ours.kind) == (theirs.id, str(theirs.type))
    assert ours.author_name == theirs.from_user.name
    assert (ours.alias or ours.key.chat).removesuffix("@bsuid") == theirs.from_user.bsuid


def test_it_reads_a_failed_status_as_we_do(library: Library) -> None:
    failed = {
        "id": "wamid.1",
        "status": "failed",
        "timestamp": str(AT),
        "recipient_id": LAURA,
        "recipient_user_id": LAURAS_ID,
        "biz_opaque_callback_data": "17-1",
        "errors": [{"code": 131026, "title": "x", "message": "y", "error_data": {"details": "d"}}],
    }
    update = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [change(contacts=[contact()], statuses=[failed])]}],
    }
    theirs = types.MessageStatus.from_update(library.wa, update)
    (ours,) = parse_webhook(json.dumps(update).encode()).statuses
    assert (ours.message_id, ours.status, ours.tag) == (
        theirs.id,
        str(theirs.status),
        theirs.tracker,
    )
    assert ours.is_final
