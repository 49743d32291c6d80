"""The Cloud API's requests for sending: one message, in the fields of its type. Pure.

Fields and limits as in Meta's OpenAPI document ``business-messaging-api`` (v23.0), and for people
without a phone number in its page "Business-scoped user IDs" (2026-06-29).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from daemon.domain.ids import is_group, local_part, phone_digits, scoped_id
from daemon.domain.messages import JsonObject
from daemon.domain.rendering.outgoing import WITH_MEDIA, Outgoing
from daemon.domain.rendering.vcards import read_card
from daemon.gateway.cloud.payloads.templates import template_fields
from daemon.gateway.payloads.fields import (
    UPLOAD_BYTES_PER_SECOND,
    ApiCall,
    given,
    without_surrogates,
)

_PRODUCT = "whatsapp"
_MOST_TAG = 512
_MOST_AROUND = 60
"""Characters of the header and of the footer of buttons and lists."""
_MOST_SECTION = 24


class NoRecipient(ValueError):
    """The chat has no id that the Cloud API can send to."""


def send_call(phone_number_id: str, chat: str, message: Outgoing, *, media_id: str = "") -> ApiCall:
    """Write one message as a call.

    ``media_id``: of its file, uploaded before; without one the file's address goes along. Raises
    NoRecipient, or ValueError for a kind that there is not.
    """
    try:
        operation, content = _CONTENTS[message.kind]
    except KeyError:
        raise ValueError(f"no such kind of message: {message.kind}") from None
    kind, fields = content(message, _source(message, media_id))
    body: JsonObject = {
        "messaging_product": _PRODUCT,
        **_recipient(chat),
        "type": kind,
        kind: fields,
    }
    if message.quoted:
        body["context"] = {"message_id": message.quoted}
    if message.tag:
        body["biz_opaque_callback_data"] = message.tag[:_MOST_TAG]
    return ApiCall(operation, "POST", f"/{phone_number_id}/messages", body)


def read_receipt(phone_number_id: str, message_id: str) -> ApiCall:
    """Mark a message of a customer as read and show that we type: neither is there alone.

    The indicator ends with our message, or after 25 seconds.
    """
    body: JsonObject = {
        "messaging_product": _PRODUCT,
        "status": "read",
        "message_id": message_id,
        "typing_indicator": {"type": "text"},
    }
    return ApiCall("read", "POST", f"/{phone_number_id}/messages", body)


def upload_call(phone_number_id: str, message: Outgoing) -> ApiCall | None:
    """Write the upload of a message's file; None if there is none, or it has an address.

    Raises ValueError if it is no data URI.
    """
    if message.kind not in WITH_MEDIA or not message.media.startswith("data:"):
        return None
    mime_type, data = _opened(message.media)
    boundary = hashlib.sha256(data).hexdigest()
    fields = {"messaging_product": _PRODUCT, "type": mime_type}
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        f"Content-Type: {mime_type}\r\n\r\n"
    )
    body = "".join(lines).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return ApiCall(
        "upload",
        "POST",
        f"/{phone_number_id}/media",
        extra_seconds=len(body) / UPLOAD_BYTES_PER_SECOND,
        body=body,
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def _recipient(chat: str) -> JsonObject:
    """A BSUID belongs in ``recipient``: in ``to`` it is accepted and never delivered."""
    if digits := phone_digits(chat):
        return {"recipient_type": "individual", "to": digits}
    if bsuid := scoped_id(chat):
        return {"recipient_type": "individual", "recipient": bsuid}
    if is_group(chat):
        return {"recipient_type": "group", "to": local_part(chat)}
    raise NoRecipient("the chat has no id that the Cloud API can send to")


def _source(message: Outgoing, media_id: str) -> JsonObject:
    return {"id": media_id} if media_id else {"link": message.media}


def _opened(uri: str) -> tuple[str, bytes]:
    head, comma, written = uri.removeprefix("data:").partition(",")
    if not comma:
        raise ValueError("the file cannot be read")
    mime_type = head.partition(";")[0] or "application/octet-stream"
    if not head.endswith(";base64"):
        return mime_type, unquote_to_bytes(written)
    try:
        return mime_type, base64.b64decode(written)
    except binascii.Error:
        raise ValueError("the file cannot be read") from None


Content = tuple[str, JsonObject | list[JsonObject]]
"""The type of a message, and the value of that type: its fields, or a list of contacts."""


def _text(message: Outgoing, _source: JsonObject) -> Content:
    if template := message.payload.get("template"):
        return "template", template_fields(template)
    body = without_surrogates(message.body)
    return "text", {"body": body, "preview_url": message.link_preview}


def _voice(_message: Outgoing, source: JsonObject) -> Content:
    return "audio", {**source, "voice": True}


def _image(message: Outgoing, source: JsonObject) -> Content:
    return "image", {**source, **_caption(message)}


def _document(message: Outgoing, source: JsonObject) -> Content:
    return "document", {**source, **_caption(message), **given(message.payload, ("filename",))}


def _caption(message: Outgoing) -> JsonObject:
    return {"caption": without_surrogates(message.body)} if message.body else {}


def _location(message: Outgoing, _source: JsonObject) -> Content:
    return "location", given(message.payload, ("latitude", "longitude", "name", "address"))


def _contact(message: Outgoing, _source: JsonObject) -> Content:
    payload = message.payload
    card = read_card(str(payload.get("vcard", "")))
    name = without_surrogates(str(payload.get("name", ""))) or card.name
    numbers = (str(payload["number"]),) if payload.get("number") else card.numbers
    contact: JsonObject = {
        "name": {"formatted_name": name, "first_name": name},
        "phones": [{"phone": n, "type": "CELL", "wa_id": n.lstrip("+")} for n in numbers],
    }
    if card.emails:
        contact["emails"] = [{"email": email, "type": "WORK"} for email in card.emails]
    if card.organisation:
        contact["org"] = {"company": card.organisation}
    return "contacts", [contact]


def _reaction(message: Outgoing, _source: JsonObject) -> Content:
    payload = message.payload
    return "reaction", {"message_id": str(payload["target"]), "emoji": payload["emoji"]}


def _buttons(message: Outgoing, _source: JsonObject) -> Content:
    buttons = [{"type": "reply", "reply": button} for button in message.payload["buttons"]]
    return _interactive(message, "button", {"buttons": buttons})


def _list(message: Outgoing, _source: JsonObject) -> Content:
    sections: list[JsonObject] = []
    label = message.payload["label"]
    for row in message.payload["rows"]:
        title = str(row["section"])[:_MOST_SECTION]
        if not sections or sections[-1]["title"] != title:
            sections.append({"title": title, "rows": []})
        sections[-1]["rows"].append(given(row, ("id", "title", "description")))
    if len(sections) > 1:  # then each needs a title
        sections = [{**section, "title": section["title"] or label} for section in sections]
    return _interactive(message, "list", {"sections": sections, "button": label})


def _interactive(message: Outgoing, kind: str, action: JsonObject) -> Content:
    body = {"text": without_surrogates(message.body)}
    around = dict(_around(message.payload))
    return "interactive", {"type": kind, "body": body, "action": action, **around}


def _around(payload: Mapping[str, Any]) -> Iterable[tuple[str, JsonObject]]:
    if header := payload.get("header"):
        yield "header", {"type": "text", "text": str(header)[:_MOST_AROUND]}
    if footer := payload.get("footer"):
        yield "footer", {"text": str(footer)[:_MOST_AROUND]}


_CONTENTS: Mapping[str, tuple[str, Callable[[Outgoing, JsonObject], Content]]] = {
    "text": ("text", _text),
    "voice": ("voice", _voice),
    "image": ("image", _image),
    "document": ("document", _document),
    "location": ("location", _location),
    "contact": ("contact", _contact),
    "buttons": ("interactive", _buttons),
    "list": ("interactive", _list),
    "reaction": ("reaction", _reaction),
}
"""By kind: the operation's name, and what makes the fields."""

KINDS = frozenset(_CONTENTS)
