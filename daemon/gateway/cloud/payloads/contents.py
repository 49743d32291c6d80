"""The content of one message of the Cloud API.

One small function for each type. It returns None if Meta sent too little for that type.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daemon.domain.messages import (
    AnyContent,
    Choice,
    ContactCard,
    Contacts,
    Deletion,
    Edit,
    JsonObject,
    Location,
    Media,
    Other,
    Quote,
    Reaction,
    Text,
)
from daemon.domain.rendering.vcards import written_card
from daemon.gateway.payloads.fields import (
    amount,
    count,
    flag,
    number,
    readable,
    shortened,
    text,
    words,
)

UNAVAILABLE = "unavailable"
"""The kind of a message that WhatsApp does not pass on: its author waits for an answer."""

_NOT_PASSED_ON = "[a message that cannot be shown here]"

_UNANSWERED = frozenset({"edit", "pin", "keep", "poll_update", "event_response"})
"""Of the types that Meta does not support: those that only concern another message."""

_HEAD = frozenset({"id", "from", "from_user_id", "from_parent_user_id", "timestamp", "context"})
_MOST_CARDS = 50
_MOST_ITEMS = 50


def as_object(value: object) -> JsonObject:
    """Return the JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """Return the JSON objects of a list; a bare one counts as a list of one."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def kind_and_content(message: JsonObject) -> tuple[str, AnyContent]:
    """Return the type of a message in Recado's words, and its content."""
    kind = text(message.get("type")) or "unknown"
    if kind == "audio" and flag(as_object(message.get("audio")).get("voice")):
        kind = "voice"
    if kind == "unsupported":
        return _unsupported(message)
    build = _BUILDERS.get(kind)
    found = build(message) if build else None
    if kind == "interactive" and not isinstance(found, Choice):
        # A customer's; under its own name it would pass for a menu that a program sent.
        if found:
            return "flow_reply", found
        what = text(as_object(message.get("interactive")).get("type"))
        return (what, _other(message)) if what else (UNAVAILABLE, Other(body=_NOT_PASSED_ON))
    return kind, found or _other(message)


def quote_of(message: JsonObject) -> Quote | None:
    """Return the message or product that a message refers to."""
    context = as_object(message.get("context"))
    product = text(as_object(context.get("referred_product")).get("product_retailer_id"))
    quoted = text(context.get("id"))
    if product:
        return Quote(id=quoted, kind="product", body=f"[product {product}]")
    return Quote(id=quoted, author=text(context.get("from"))) if quoted else None


def is_forwarded(message: JsonObject) -> bool:
    """Tell whether a message was forwarded."""
    context = as_object(message.get("context"))
    return flag(context.get("forwarded")) or flag(context.get("frequently_forwarded"))


def ad_of(message: JsonObject) -> str:
    """Return the title of the ad through which the customer came."""
    referral = as_object(message.get("referral"))
    return words(referral.get("headline")) or words(referral.get("body"))


def verified_phone(message: JsonObject) -> str:
    """Return the digits of the number that its author has shared on request: it is their own."""
    for card in objects(message.get("contacts")):
        if text(card.get("origin")) == "contact_request":
            return next(filter(None, map(_digits, objects(card.get("phones")))), "")
    return ""


def _text(message: JsonObject) -> Text:
    part = message.get("text")
    return Text(body=words(as_object(part).get("body")) or words(part))


def _file(message: JsonObject) -> Media:
    """A file is fetched by its id: the address in ``url`` lives for five minutes."""
    kind = text(message.get("type"))
    part = as_object(message.get(kind))
    return Media(
        medium="voice" if flag(part.get("voice")) else kind,
        media_id=text(part.get("id")),
        mime_type=text(part.get("mime_type")),
        size_bytes=count(part.get("file_size")),
        file_name=text(part.get("filename")),
        caption=words(part.get("caption")),
        animated=flag(part.get("animated")),
    )


def _location(message: JsonObject) -> Location | None:
    part = as_object(message.get("location"))
    latitude, longitude = number(part.get("latitude")), number(part.get("longitude"))
    if latitude is None or longitude is None:
        return None
    return Location(
        latitude=latitude,
        longitude=longitude,
        name=text(part.get("name")),
        address=text(part.get("address")),
    )


def _contacts(message: JsonObject) -> Contacts | None:
    cards = tuple(map(_card, objects(message.get("contacts"))[:_MOST_CARDS]))
    return Contacts(cards=cards) if cards else None


def _card(card: JsonObject) -> ContactCard:
    names = as_object(card.get("name"))
    parts = (text(names.get("first_name")), text(names.get("last_name")))
    name = text(names.get("formatted_name")) or " ".join(filter(None, parts))
    digits = next(filter(None, map(_digits, objects(card.get("phones")))), "")
    written = written_card(name or f"+{digits}", digits) if digits else ""
    return ContactCard(name=name, vcard=words(card.get("vcard")) or written)


def _digits(phone: JsonObject) -> str:
    written = text(phone.get("wa_id")) or text(phone.get("phone"))
    return "".join(sign for sign in written[:40] if sign.isascii() and sign.isdigit())


def _interactive(message: JsonObject) -> Choice | Other | None:
    part = as_object(message.get("interactive"))
    for kind in ("button_reply", "list_reply"):
        if chosen := as_object(part.get(kind)):
            return Choice(
                choice_id=text(chosen.get("id")),
                title=text(chosen.get("title")),
                description=text(chosen.get("description")),
            )
    flow = as_object(part.get("nfm_reply"))
    return Other(body=_filled_in(flow), raw=shortened(flow)) if flow else None


def _filled_in(flow: JsonObject) -> str:
    """The fields of a filled-in form, one per line."""
    try:
        answers = json.loads(text(flow.get("response_json")))
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        return words(flow.get("body"))
    shown = (
        f"{name}: {text(value)}"
        for name, value in answers.items()
        if name != "flow_token" and text(value)
    )
    return words("\n".join(shown)) or words(flow.get("body"))


def _button(message: JsonObject) -> Choice:
    part = as_object(message.get("button"))
    return Choice(choice_id=text(part.get("payload")), title=text(part.get("text")))


def _reaction(message: JsonObject) -> Reaction | None:
    part = as_object(message.get("reaction"))
    target = text(part.get("message_id"))
    return Reaction(target=target, emoji=text(part.get("emoji"))) if target else None


def _order(message: JsonObject) -> Other:
    order = as_object(message.get("order"))
    items = objects(order.get("product_items"))[:_MOST_ITEMS]
    total = sum(amount(item.get("quantity")) * amount(item.get("item_price")) for item in items)
    lines = [
        f"{count(item.get('quantity'))} x {text(item.get('product_retailer_id'))}" for item in items
    ]
    summary: JsonObject = {
        "item_count": sum(count(item.get("quantity")) for item in items),
        "total_price": round(total, 2),
        "currency": next((text(item.get("currency")) for item in items), ""),
    }
    body = "\n".join(filter(None, (words(order.get("text")), *lines)))
    return Other(body=body, raw={**summary, **shortened(order)})


def _edit(message: JsonObject) -> Edit | None:
    part = as_object(message.get("edit"))
    target = text(part.get("original_message_id"))
    _, content = kind_and_content(as_object(part.get("message")))
    return Edit(target=target, body=_written(content)) if target else None


def _written(content: AnyContent) -> str:
    if isinstance(content, Text):
        return content.body
    return content.caption if isinstance(content, Media) else ""


def _revoke(message: JsonObject) -> Deletion | None:
    target = text(as_object(message.get("revoke")).get("original_message_id"))
    return Deletion(target=target) if target else None


def _unsupported(message: JsonObject) -> tuple[str, Other]:
    """A message that WhatsApp does not pass on; most of their authors wait for an answer.

    A contact's first message to a number that is also in the Business app often comes so (error
    131060), above all after an ad.
    """
    what = text(as_object(message.get("unsupported")).get("type"))
    other = _other(message)
    if what in _UNANSWERED:
        return what, other
    body = f"[{what}: a message that cannot be shown here]" if what else _NOT_PASSED_ON
    return UNAVAILABLE, Other(body=body, raw=other.raw)


def _other(message: JsonObject) -> Other:
    kept = {name: value for name, value in message.items() if name not in _HEAD}
    found = (readable(value) for value in _values(kept))
    return Other(body=next(filter(None, found), ""), raw=shortened(kept))


def _values(kept: Mapping[str, Any]) -> Iterator[object]:
    yield from (value for name, value in kept.items() if name != "type")


_BUILDERS: Mapping[str, Callable[[JsonObject], AnyContent | None]] = {
    "text": _text,
    "image": _file,
    "video": _file,
    "audio": _file,
    "voice": _file,
    "document": _file,
    "sticker": _file,
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "reaction": _reaction,
    "order": _order,
    "edit": _edit,
    "revoke": _revoke,
}
