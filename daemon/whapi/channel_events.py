"""Read what Whapi tells of the channel itself, and of the names in its address book. Pure.

Shapes as in Whapi's OpenAPI document, version 1.8.7, and its help desk's page on the state of
account and device. The picture and the text of a QR code are never looked at: with them anybody
could link our number.
"""

from typing import Any

import msgspec

from daemon.model import ChannelNews, ChatKey, NameChange
from daemon.whapi.fields import chat_id, count, text, texts
from daemon.whapi.shapes import ChatShape, NotAnObject

_HEALTH_NAMES = {1: "INIT", 2: "LAUNCH", 3: "QR", 4: "AUTH", 5: "ERROR"}
"""By code: 1, 2, 3 and 5 are documented, 4 is seen on live channels."""

_USER_VERBS = {"users.post": "linked", "users.delete": "unlinked"}


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


def health_news(shape: HealthShape) -> ChannelNews | None:
    """Give the channel's state as Whapi names it, or None if it names none."""
    status = shape.status
    if isinstance(status, dict):
        status = text(status.get("text")) or _HEALTH_NAMES.get(count(status.get("code")), "")
    name = text(status).strip().upper()
    return ChannelNews(what="health", status=name) if name else None


def qr_news(shape: QrShape) -> ChannelNews:
    """Say that the channel wants to be linked; how far it is with its code."""
    return ChannelNews(what="qr", status=text(shape.status).strip().upper())


def user_news(event: str) -> ChannelNews | None:
    """Give what happened to the phone's link, which only the event's name tells."""
    status = _USER_VERBS.get(event)
    return ChannelNews(what="user", status=status) if status else None


def name_change(channel: str, after: object, changes: object) -> NameChange | None:
    """Give a contact's or chat's new name; None if it has none, or something else was changed."""
    named = texts(changes)
    if not isinstance(after, NamedShape | ChatShape) or (named and "name" not in named):
        return None
    chat, name = chat_id(text(after.id)), text(after.name).strip()
    return NameChange(key=ChatKey(channel, chat), name=name) if chat and name else None
