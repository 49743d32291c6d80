"""Whapi's requests for sending: one message, in the fields of its kind.

Pure. Paths and fields as in Whapi's OpenAPI document, version 1.8.7 (``SenderText``,
``SenderVoice``, ``SenderImage``, ``SenderDocument``, ``SenderLocation``, ``SenderContact``,
``SenderInteractive``, ``SenderPoll``, ``ReactToMessage``). A file goes along as a data URI, or
as an address that Whapi fetches.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.outgoing import Outgoing
from daemon.gateway.payloads.fields import (
    UPLOAD_BYTES_PER_SECOND,
    ApiCall,
    given,
    without_surrogates,
)


def send_call(chat: str, message: Outgoing) -> ApiCall:
    """Write one message as a call of Whapi. Raises ValueError for a kind that it does not have."""
    if message.kind == "reaction":
        target = quote(without_surrogates(str(message.payload["target"])), safe="")
        emoji = {"emoji": message.payload["emoji"]}
        return ApiCall("reaction", "PUT", f"/messages/{target}/reaction", emoji)
    try:
        operation, content = _CONTENTS[message.kind]
    except KeyError:
        raise ValueError(f"no such kind of message: {message.kind}") from None
    body: JsonObject = {"to": chat, **content(message)}
    if message.quoted:
        body["quoted"] = message.quoted
    if mentions := message.payload.get("mentions"):
        body["mentions"] = mentions
    seconds = len(message.media) / UPLOAD_BYTES_PER_SECOND
    return ApiCall(operation, "POST", f"/messages/{operation}", body, extra_seconds=seconds)


def _text(message: Outgoing) -> JsonObject:
    words = without_surrogates(message.body)
    return {"body": words, "no_link_preview": not message.link_preview}


def _voice(message: Outgoing) -> JsonObject:
    return {"media": message.media, **given(message.payload, ("mime_type", "seconds"))}


def _image(message: Outgoing) -> JsonObject:
    caption = {"caption": without_surrogates(message.body)} if message.body else {}
    return {"media": message.media, **caption, **given(message.payload, ("mime_type",))}


def _document(message: Outgoing) -> JsonObject:
    return {**_image(message), **given(message.payload, ("filename",))}


def _location(message: Outgoing) -> JsonObject:
    return given(message.payload, ("latitude", "longitude", "name", "address"))


def _contact(message: Outgoing) -> JsonObject:
    fields = given(message.payload, ("name", "vcard"))
    return {name: without_surrogates(words) for name, words in fields.items()}


def _poll(message: Outgoing) -> JsonObject:
    """``count``: 1, only one option may be chosen; 0, any number of them."""
    return {
        "title": without_surrogates(message.body),
        "options": [without_surrogates(option) for option in message.payload["options"]],
        "count": 0 if message.payload.get("several") else 1,
    }


def _buttons(message: Outgoing) -> JsonObject:
    buttons = [{"type": "quick_reply", **button} for button in message.payload["buttons"]]
    return _interactive(message, "button", {"buttons": buttons})


def _list(message: Outgoing) -> JsonObject:
    sections: list[JsonObject] = []
    for row in message.payload["rows"]:
        if not sections or sections[-1]["title"] != row["section"]:
            sections.append({"title": row["section"], "rows": []})
        sections[-1]["rows"].append(given(row, ("id", "title", "description")))
    label = message.payload["label"]
    return _interactive(message, "list", {"list": {"sections": sections, "label": label}})


def _interactive(message: Outgoing, kind: str, action: JsonObject) -> JsonObject:
    around = {part: {"text": words} for part, words in _around(message.payload)}
    body = {"text": without_surrogates(message.body)}
    return {"type": kind, "body": body, "action": action, **around}


def _around(payload: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ((part, payload[part]) for part in ("header", "footer") if payload.get(part))


_CONTENTS: dict[str, tuple[str, Callable[[Outgoing], JsonObject]]] = {
    "text": ("text", _text),
    "voice": ("voice", _voice),
    "image": ("image", _image),
    "document": ("document", _document),
    "location": ("location", _location),
    "contact": ("contact", _contact),
    "poll": ("poll", _poll),
    "buttons": ("interactive", _buttons),
    "list": ("interactive", _list),
}
"""By kind: the last part of the path, and what makes the fields."""

KINDS = frozenset({*_CONTENTS, "reaction"})
