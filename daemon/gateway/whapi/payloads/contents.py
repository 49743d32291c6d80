"""Turn the shape of one Whapi message into what the message says.

One small function for each kind of content. It returns None if Whapi sent too little for that
kind; such a message, like one of an unknown type, becomes ``Other`` with what can be read of it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from daemon.domain.messages import (
    INLINE_BEGINNINGS,
    AnyContent,
    Choice,
    ContactCard,
    Contacts,
    Deletion,
    Edit,
    Location,
    Media,
    Other,
    Poll,
    Quote,
    Reaction,
    Text,
    Vote,
)
from daemon.gateway.payloads.fields import (
    amount,
    count,
    flag,
    number,
    person,
    readable,
    shortened,
    text,
    texts,
    words,
)
from daemon.gateway.whapi.payloads.shapes import ContentObject, Context, MessageShape, NotAnObject

_MEDIA_FIELDS = {
    "image": "image",
    "video": "video",
    "gif": "gif",
    "short": "short",
    "audio": "audio",
    "voice": "voice",
    "ptt": "ptt",
    "document": "document",
    "documentWithCaption": "document_with_caption",
    "sticker": "sticker",
}
_INFERRED_KINDS = (
    "text",
    "link_preview",
    *_MEDIA_FIELDS,
    "location",
    "live_location",
    "contact",
    "contact_list",
    "reply",
    "poll",
    "action",
)
_MOVING = ("video", "gif", "short")

_CHOICE_PREFIXES = ("ButtonsV3:", "ListV3:")
"""Prefixes that Whapi adds to the ids of buttons and list rows when they come back."""

_HEAD_KEYS = frozenset(
    [
        "id",
        "type",
        "subtype",
        "chat_id",
        "chat_name",
        "from",
        "from_me",
        "from_name",
        "source",
        "device_id",
        "status",
        "timestamp",
        "context",
        "reactions",
        "labels",
    ]
)


def as_part(value: ContentObject | NotAnObject) -> ContentObject:
    """Return the object, or an empty one; a bare string counts as its body."""
    if isinstance(value, ContentObject):
        return value
    return ContentObject(body=value if isinstance(value, str) else None)


def as_message(value: MessageShape | NotAnObject) -> MessageShape:
    """Return the message, or an empty one."""
    return value if isinstance(value, MessageShape) else MessageShape()


def kind_of(shape: MessageShape) -> str:
    """Return the message's type as sent; where it is missing, that of the content it carries."""
    if found := text(shape.type):
        return found
    present = (k for k in _INFERRED_KINDS if getattr(shape, _MEDIA_FIELDS.get(k, k)) is not None)
    return next(present, "unknown")


def content_of(shape: MessageShape, element: msgspec.Raw | bytes) -> AnyContent:
    """Return the content of the message; ``element`` is all of it as JSON, read again for Other.

    Raises msgspec.DecodeError or UnicodeDecodeError if that second reading fails.
    """
    kind = kind_of(shape)
    build = _BUILDERS.get(kind)
    content = build(shape, kind) if build else None
    return _other(kind, element) if content is None else content


def quote_of(context: Context | NotAnObject) -> Quote | None:
    """Return the message that is answered, if the context names one."""
    if not isinstance(context, Context) or not (quoted := text(context.quoted_id)):
        return None
    return Quote(
        id=quoted,
        author=person(context.quoted_author),
        kind=text(context.quoted_type),
        body=words_in(as_part(context.quoted_content)),
    )


def ad_of(context: Context) -> str:
    """Return the title of the ad that brought the customer here, or its other text."""
    if context.ad is None:
        return ""
    return words(as_part(context.ad).title) or words_in(as_part(context.ad))


def words_in(part: ContentObject) -> str:
    """Find the words a person would read in a content object, or ``""``."""
    return readable(msgspec.structs.asdict(part))


def written_text(shape: MessageShape) -> str:
    """Return the words typed by the author: a text's body or a file's caption, or ``""``."""
    content = _BUILDERS.get(kind_of(shape), _nothing)(shape, kind_of(shape))
    if isinstance(content, Text):
        return content.body
    return content.caption if isinstance(content, Media) else ""


def edit_of(action: ContentObject, *, target: str = "") -> Edit | None:
    """Return the edit that an action describes, or None if it is another action."""
    found = target or text(action.target)
    if text(action.type).lower() not in {"edit", "edited"} or not found:
        return None
    return Edit(target=found, body=words_in(as_part(action.edited_content)))


def action_of(shape: MessageShape) -> AnyContent | None:
    """Return the effect of an action on another message, or None if it is not understood."""
    return _action(shape, kind_of(shape))


def updated_text(before: MessageShape | NotAnObject, after: MessageShape | NotAnObject) -> str:
    """Return a message's new words if an update changed them, or ``""``."""
    old, new = written_text(as_message(before)), written_text(as_message(after))
    return new if old and new != old else ""


def _nothing(_shape: MessageShape, _kind: str) -> None:
    return None


def _text(shape: MessageShape, _kind: str) -> Text:
    return Text(body=_body(as_part(shape.text)))


def _link_preview(shape: MessageShape, _kind: str) -> Text:
    part = as_part(shape.link_preview)
    return Text(
        body=_body(part) or _body(as_part(shape.text)),
        url=text(part.url) or text(part.canonical),
        title=text(part.title),
    )


def _body(part: ContentObject) -> str:
    return words(part.body) or readable(part.body) or words(part.text)


def _media(shape: MessageShape, kind: str) -> Media:
    own = getattr(shape, _MEDIA_FIELDS[kind])
    others = (getattr(shape, name) for name in _MEDIA_FIELDS.values())
    part = next((p for p in (own, *others) if isinstance(p, ContentObject)), ContentObject())
    link = text(part.link)
    return Media(
        medium=kind,
        media_id=text(part.id),
        link="" if _has_bytes(link) else link,
        mime_type=text(part.mime_type),
        size_bytes=count(part.file_size),
        file_name=text(part.file_name) or text(part.filename),
        caption=words(part.caption),
        seconds=amount(part.seconds),
        pages=count(part.page_count),
        animated=flag(part.animated),
        view_once=flag(part.view_once),
        inline=_bytes_of(part),
        preview=_preview_of(part, kind),
    )


def _has_bytes(value: str) -> bool:
    return value.startswith(INLINE_BEGINNINGS)


def _bytes_of(part: ContentObject) -> str:
    """Find the file's own bytes in its object: a data URI, or base64 where that is the key."""
    for value in (text(part.link), text(part.data), text(part.body), text(part.base64)):
        if _has_bytes(value):
            return value
    bare = text(part.base64) or text(part.data)
    return f"data:;base64,{bare}" if bare else ""


def _preview_of(part: ContentObject, kind: str) -> str:
    """Return the first picture of what moves; other previews only repeat the file."""
    preview = text(part.preview)
    moves = kind in _MOVING or flag(part.animated)
    return preview if moves and _has_bytes(preview) else ""


def _location(shape: MessageShape, kind: str) -> Location | None:
    part = as_part(shape.live_location if kind == "live_location" else shape.location)
    latitude, longitude = number(part.latitude), number(part.longitude)
    if latitude is None or longitude is None:
        return None
    return Location(
        latitude=latitude,
        longitude=longitude,
        name=text(part.name),
        address=text(part.address),
        caption=words(part.caption),
        live=kind == "live_location",
    )


def _contacts(shape: MessageShape, kind: str) -> Contacts | None:
    part = as_part(shape.contact_list if kind == "contact_list" else shape.contact)
    entries = part.cards if isinstance(part.cards, list) else [msgspec.structs.asdict(part)]
    cards = tuple(
        ContactCard(name=text(entry.get("name")), vcard=text(entry.get("vcard")))
        for entry in entries
        if isinstance(entry, dict) and (text(entry.get("name")) or text(entry.get("vcard")))
    )
    return Contacts(cards=cards) if cards else None


def _choice(shape: MessageShape, _kind: str) -> Choice | None:
    part = as_part(shape.reply)
    replies = (part.buttons_reply, part.button_reply, part.list_reply)
    chosen = next((reply for reply in replies if isinstance(reply, dict)), None)
    if chosen is None:
        return None
    choice = text(chosen.get("id"))
    for prefix in _CHOICE_PREFIXES:
        choice = choice.removeprefix(prefix)
    return Choice(
        choice_id=choice,
        title=text(chosen.get("title")),
        description=text(chosen.get("description")),
    )


def _poll(shape: MessageShape, _kind: str) -> Poll:
    part = as_part(shape.poll)
    options = tuple(_option_names(part.options)) or tuple(_option_names(part.results))
    ids = _option_ids(part.results)
    return Poll(
        title=text(part.title),
        options=options,
        option_ids=tuple(ids.get(name, "") for name in options) if ids else (),
    )


def _option_ids(results: object) -> dict[str, str]:
    """Return WhatsApp's id of each option by its name, as far as the results have them."""
    rows = (row for row in results if isinstance(row, dict)) if isinstance(results, list) else ()
    return {
        name: found
        for row in rows
        if (name := text(row.get("name"))) and (found := text(row.get("id")))
    }


def _option_names(options: object) -> Iterator[str]:
    for option in options if isinstance(options, list) else ():
        name = text(option.get("name")) if isinstance(option, dict) else text(option)
        if name:
            yield name


def _action(shape: MessageShape, _kind: str) -> Reaction | Edit | Deletion | Vote | None:
    part = as_part(shape.action)
    target = text(part.target)
    if not target:
        return None
    match text(part.type).lower():
        case "reaction":
            return Reaction(target=target, emoji=text(part.emoji))
        case "edit" | "edited":
            return edit_of(part)
        case "delete":
            return Deletion(target=target)
        case "vote":
            return Vote(target=target, options=texts(part.votes))
        case _:
            return None


def _poll_update(shape: MessageShape, _kind: str) -> Vote | None:
    """A vote under the type that Whapi's own skill calls it by; its fields are documented nowhere.

    So they are looked for under every name that actions and polls have for them.
    """
    parts = [as_part(p) for p in (shape.poll_update, shape.action, shape.poll)]
    context = shape.context if isinstance(shape.context, Context) else Context()
    targets = [text(p.target) or text(p.poll_id) for p in parts]
    target = next(filter(None, (*targets, text(context.quoted_id))), "")
    votes = (texts(p.votes) or tuple(_option_names(p.options)) for p in parts)
    return Vote(target=target, options=next(filter(None, votes), ())) if target else None


_BUILDERS: dict[str, Callable[[MessageShape, str], AnyContent | None]] = {
    "text": _text,
    "link_preview": _link_preview,
    **dict.fromkeys(_MEDIA_FIELDS, _media),
    "location": _location,
    "live_location": _location,
    "contact": _contacts,
    "contact_list": _contacts,
    "reply": _choice,
    "poll": _poll,
    "poll_update": _poll_update,
    "action": _action,
}


def _other(kind: str, element: msgspec.Raw | bytes) -> Other:
    """Keep what is worth keeping of a message that is none of the known contents."""
    whole: dict[str, Any] = msgspec.json.decode(element, type=dict[str, Any])
    rest = {key: value for key, value in whole.items() if key not in _HEAD_KEYS}
    own = whole.get(kind)
    raw = own if isinstance(own, dict) else rest
    found = (readable(value) for value in (own, rest, *rest.values()))
    body = text(next(filter(None, found), ""))
    return Other(body=body, raw=shortened(raw))
