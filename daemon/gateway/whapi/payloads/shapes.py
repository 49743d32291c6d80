"""Whapi's objects, as far as they are read: msgspec structs that accept any value.

The decoder skips fields that are not named here without building them; files in base64, which make
bodies large, were cut out before (`daemon.media.files`). An object may also be a string, a number,
a list or null: it is kept as such and read as empty, and the rest of the message survives.

The structs have no cycles, so the garbage collector need not look through them (``gc=False``).

Names and meanings are those of Whapi's OpenAPI document, version 1.8.7.
"""

from typing import Any

import msgspec

from daemon.gateway.payloads.fields import text


def label_names(value: object) -> tuple[str, ...]:
    """Return the names of a list of labels, or their ids where they have none."""
    if not isinstance(value, list):
        return ()
    labels = (item for item in value if isinstance(item, dict))
    return tuple(
        name for item in labels if (name := text(item.get("name")) or text(item.get("id")))
    )


# -- structs ---------------------------------------------------------------------------------------


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
    """The message that a message refers to."""

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


class HealthShape(msgspec.Struct):
    """The value of ``health``."""

    status: Any = None


class QrShape(msgspec.Struct):
    """The value of ``qr``, without the code."""

    status: Any = None


class NamedShape(msgspec.Struct):
    """A contact or chat with the name under which it is saved."""

    id: Any = None
    name: Any = None


class ContactUpdateShape(msgspec.Struct):
    """One element of ``contacts_updates``."""

    after_update: NamedShape | NotAnObject = None
    changes: Any = None
