"""What of Whapi's objects is read, as msgspec structs that accept any value in any field.

Two ideas make this both quick and tolerant. Fields that are not named here are skipped by the
decoder without being built; bytes in base64, which make bodies large, are cut out before
(`daemon.media.files`).
And each object may just as well be a string, a number, a list or null: it is then kept as such
and read as "nothing there", while the rest of the message survives.

What the decoder builds has no cycles, so the collector is not to look through it (``gc=False``).

Names and meanings are those of Whapi's OpenAPI document, version 1.8.7.
"""

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from daemon.gateway.whapi.payloads.fields import strict_json

NotAnObject = str | int | float | bool | list[Any] | None
"""Every JSON value that is no object."""


class ContentObject(msgspec.Struct, gc=False):
    """The object under a message's content key: all fields that any kind of content has."""

    id: Any = None
    type: Any = None
    body: Any = None
    text: Any = None
    caption: Any = None
    title: Any = None
    name: Any = None
    description: Any = None
    url: Any = None
    canonical: Any = None
    link: Any = None
    mime_type: Any = None
    file_size: Any = None
    file_name: Any = None
    filename: Any = None
    seconds: Any = None
    page_count: Any = None
    animated: Any = None
    view_once: Any = None
    data: Any = None
    base64: Any = None
    preview: Any = None
    latitude: Any = None
    longitude: Any = None
    address: Any = None
    vcard: Any = None
    cards: Any = msgspec.field(name="list", default=None)
    buttons_reply: Any = None
    button_reply: Any = None
    list_reply: Any = None
    options: Any = None
    results: Any = None
    target: Any = None
    emoji: Any = None
    edited_content: "ContentObject | NotAnObject" = None
    votes: Any = None
    poll_id: Any = None


class Context(msgspec.Struct, gc=False):
    """What a message refers to."""

    forwarded: Any = None
    ephemeral: Any = None
    mentions: Any = None
    quoted_id: Any = None
    quoted_type: Any = None
    quoted_author: Any = None
    quoted_content: ContentObject | NotAnObject = None
    ad: ContentObject | NotAnObject = None


class MessageShape(msgspec.Struct, gc=False):
    """One element of ``messages``. The content keys are those that become more than ``Other``."""

    id: Any = None
    type: Any = None
    chat_id: Any = None
    chat_name: Any = None
    sender: Any = msgspec.field(name="from", default=None)
    from_me: Any = None
    from_name: Any = None
    source: Any = None
    timestamp: Any = None
    context: Context | NotAnObject = None
    text: ContentObject | NotAnObject = None
    link_preview: ContentObject | NotAnObject = None
    image: ContentObject | NotAnObject = None
    video: ContentObject | NotAnObject = None
    gif: ContentObject | NotAnObject = None
    short: ContentObject | NotAnObject = None
    audio: ContentObject | NotAnObject = None
    voice: ContentObject | NotAnObject = None
    ptt: ContentObject | NotAnObject = None
    document: ContentObject | NotAnObject = None
    document_with_caption: ContentObject | NotAnObject = msgspec.field(
        name="documentWithCaption", default=None
    )
    sticker: ContentObject | NotAnObject = None
    location: ContentObject | NotAnObject = None
    live_location: ContentObject | NotAnObject = None
    contact: ContentObject | NotAnObject = None
    contact_list: ContentObject | NotAnObject = None
    reply: ContentObject | NotAnObject = None
    poll: ContentObject | NotAnObject = None
    poll_update: ContentObject | NotAnObject = None
    action: ContentObject | NotAnObject = None


class UpdateShape(msgspec.Struct, gc=False):
    """One element of ``messages_updates``: a message before and after, and what changed it."""

    id: Any = None
    trigger: MessageShape | NotAnObject = None
    before_update: MessageShape | NotAnObject = None
    after_update: MessageShape | NotAnObject = None
    changes: Any = None


class ChatShape(msgspec.Struct, gc=False):
    """A chat as it is after a change."""

    id: Any = None
    name: Any = None
    labels: Any = None


class ChatUpdateShape(msgspec.Struct, gc=False):
    """One element of ``chats_updates``: a chat before and after, and what was changed."""

    after_update: ChatShape | NotAnObject = None
    changes: Any = None


class CallShape(msgspec.Struct, gc=False):
    """One element of ``calls``."""

    id: Any = None
    sender: Any = msgspec.field(name="from", default=None)
    chat_id: Any = None
    status: Any = None
    timestamp: Any = None
    video_call: Any = None


class StatusShape(msgspec.Struct, gc=False):
    """One element of ``statuses``."""

    id: Any = None
    code: Any = None
    status: Any = None
    timestamp: Any = None
    errors: Any = None


class PresenceShape(msgspec.Struct, gc=False):
    """One element of ``presences``; ``contact_id`` is digits without a suffix."""

    contact_id: Any = None
    status: Any = None


def as_part(value: ContentObject | NotAnObject) -> ContentObject:
    """Give the object, or an empty one; a bare string counts as its body."""
    if isinstance(value, ContentObject):
        return value
    return ContentObject(body=value if isinstance(value, str) else None)


def as_message(value: MessageShape | NotAnObject) -> MessageShape:
    """Give the message, or an empty one."""
    return value if isinstance(value, MessageShape) else MessageShape()


# One element of a webhook call, decoded by itself, so that its faults cost nothing else.


Shape = TypeVar("Shape")

LONGEST_INDENT = 64
REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it will not decode."""


_decoder = lru_cache(msgspec.json.Decoder)
_strings = msgspec.json.Decoder(str)


class Unreadable(Exception):
    """This element cannot be used; the text says why, without its content."""


def decode(element: msgspec.Raw, shape: type[Shape]) -> tuple[Shape, msgspec.Raw]:
    """Decode one element, also if it is not strict JSON; gives its strict JSON too."""
    try:
        return _decoder(shape).decode(element), element  # type: ignore[arg-type]  # it is hashable
    except REFUSALS:
        pass
    if not bytes(memoryview(element)[:LONGEST_INDENT]).lstrip().startswith(b"{"):
        raise Unreadable("not an object")
    try:
        element = msgspec.Raw(strict_json(bytes(element)))
        return msgspec.json.decode(element, type=shape), element
    except (*REFUSALS, ValueError):
        raise Unreadable("cannot be decoded") from None


def string(raw: msgspec.Raw) -> str:
    """Give the text that an element is; empty if it is none."""
    try:
        return _strings.decode(raw)
    except REFUSALS:
        return ""
