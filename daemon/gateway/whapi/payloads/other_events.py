"""Read what a webhook call reports besides messages: typing, statuses, calls, chats, the channel.

Shapes as in Whapi's OpenAPI document, version 1.8.7, and its help desk's page on the state of
account and device. The picture and the text of a QR code are never read: with them anybody could
link our number.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from daemon.domain.ids import chat_id
from daemon.domain.messages import (
    Call,
    ChangeOrigin,
    ChatKey,
    Deletion,
    Edit,
    LabelChange,
    Message,
    NameChange,
    NumberCondition,
    NumberNews,
    Presence,
    StatusUpdate,
)
from daemon.gateway.payloads.fields import (
    Unreadable,
    count,
    decode,
    flag,
    moment,
    number,
    person,
    readable,
    string,
    text,
    texts,
)
from daemon.gateway.whapi.payloads.shapes import (
    CallShape,
    ChatShape,
    ChatUpdateShape,
    ContactUpdateShape,
    HealthShape,
    MessageShape,
    NamedShape,
    PresenceShape,
    QrShape,
    StatusShape,
    label_names,
)

_HEALTH_NAMES = {1: "INIT", 2: "LAUNCH", 3: "QR", 4: "AUTH", 5: "ERROR"}
"""By code: 1, 2, 3 and 5 are documented, 4 is seen on live channels."""

_STATUS_NAMES = ("failed", "pending", "sent", "delivered", "read", "played")
"""By status code: 3 and 4 are documented, the rest follow from WhatsApp's own order."""

_CONDITIONS: Mapping[str, NumberCondition] = {
    "AUTH": "ok",
    "SYNC_ERROR": "ok",  # it can send; only lookups fail
    "NOT_INIT": "connecting",
    "INIT": "connecting",
    "LAUNCH": "connecting",
    "QR": "needs_qr",
    "STOP": "stopped",
    "STOPPED": "stopped",
    "ERROR": "error",
}

_REMEDIES: Mapping[NumberCondition, str] = {
    "unauthorised": "link the phone again in Whapi's panel, and check whapi.token",
    "needs_qr": "scan the code in Whapi's panel with the phone",
    "stopped": "start the channel in Whapi's panel",
    "error": "look at the channel in Whapi's panel",
}


def condition_of(status: str) -> NumberCondition:
    """Return the condition that a health status of Whapi's stands for."""
    return _CONDITIONS.get(status, "unknown")


def advice(condition: NumberCondition, words: str) -> str:
    """Add to the words for a condition what an operator has to do about it."""
    remedy = _REMEDIES.get(condition)
    return f"{words}; {remedy}" if remedy else words


def _news(condition: NumberCondition, words: str, *, linked: bool = False) -> NumberNews:
    return NumberNews(condition=condition, detail=advice(condition, words), linked=linked)


class Source(NamedTuple):
    """The origin of a call's elements."""

    channel: str
    event: str = ""


def call(element: msgspec.Raw, source: Source) -> Call:
    """Read an element of ``calls``."""
    shape, _ = decode(element, CallShape)
    call_id = text(shape.id).strip()
    chat = chat_id(text(shape.chat_id)) or chat_id(text(shape.sender))
    if not call_id or not chat:
        raise Unreadable("no id" if not call_id else "no chat_id")
    return Call(
        id=call_id,
        key=ChatKey(source.channel, chat),
        status=text(shape.status).strip().lower(),
        video=flag(shape.video_call),
        at=moment(shape.timestamp),
    )


def removal(element: msgspec.Raw, _source: Source) -> Deletion:
    """Read an element of ``messages_removed``: a message id, bare or in an object."""
    bare = string(element)
    shape = MessageShape() if bare else decode(element, MessageShape)[0]
    target, chat = text(bare or shape.id).strip(), chat_id(text(shape.chat_id))
    if not target:
        raise Unreadable("no id")
    origin = ChangeOrigin(chat=chat, author=person(shape.sender), from_me=flag(shape.from_me))
    return Deletion(target=target, origin=origin if chat else None)


def presence(element: msgspec.Raw, source: Source) -> Presence:
    """Read an element of ``presences``."""
    shape, _ = decode(element, PresenceShape)
    chat, status = chat_id(text(shape.contact_id)), text(shape.status).strip().lower()
    if not chat or not status:
        raise Unreadable("no contact_id" if not chat else "no status")
    return Presence(key=ChatKey(source.channel, chat), status=status)


def status_update(element: msgspec.Raw, _source: Source) -> StatusUpdate:
    """Read an element of ``statuses``."""
    shape, _ = decode(element, StatusShape)
    message_id = text(shape.id).strip()
    status = text(shape.status).strip().lower() or _status_name(shape.code)
    if not message_id or not status:
        raise Unreadable("no id" if not message_id else "no status")
    return StatusUpdate(
        message_id=message_id,
        status=status,
        error=_first_error(shape.errors),
        at=moment(shape.timestamp),
    )


def _status_name(code: object) -> str:
    """Name the status of a code, or ``""``; for the statuses that come without a name."""
    found = number(code)
    names = dict(enumerate(_STATUS_NAMES))
    return names.get(int(found), "") if found is not None else ""


def _first_error(errors: object) -> str:
    """Return code and message of the first error of a status, or ``""``."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return ""
    words = (text(first.get("code")), readable(first.get("message")) or readable(first))
    return " ".join(filter(None, words))


def chat_update(element: msgspec.Raw, source: Source) -> LabelChange | NameChange | None:
    """Read an element of ``chats_updates``: labels, a name, or something else (mute)."""
    shape, _ = decode(element, ChatUpdateShape)
    after = shape.after_update if isinstance(shape.after_update, ChatShape) else ChatShape()
    chat, changes = chat_id(text(after.id)), texts(shape.changes)
    if chat and (isinstance(after.labels, list) or "labels" in changes):
        return LabelChange(key=ChatKey(source.channel, chat), labels=label_names(after.labels))
    return _name_change(source, after, shape.changes) if "name" in changes else None


def contact(element: msgspec.Raw, source: Source) -> NameChange | None:
    """Read an element of ``contacts``: a contact that is new or was saved."""
    return _name_change(source, decode(element, NamedShape)[0], None)


def contact_update(element: msgspec.Raw, source: Source) -> NameChange | None:
    """Read an element of ``contacts_updates``: a new name, or something else."""
    shape, _ = decode(element, ContactUpdateShape)
    return _name_change(source, shape.after_update, shape.changes)


def _name_change(source: Source, after: object, changes: object) -> NameChange | None:
    named = texts(changes)
    if not isinstance(after, NamedShape | ChatShape) or (named and "name" not in named):
        return None
    chat, name = chat_id(text(after.id)), text(after.name).strip()
    return NameChange(key=ChatKey(source.channel, chat), name=name) if chat and name else None


def health(element: msgspec.Raw, _source: Source) -> NumberNews | None:
    """Read ``health``: the state of the channel, if it is named."""
    status = decode(element, HealthShape)[0].status
    if isinstance(status, dict):
        status = text(status.get("text")) or _HEALTH_NAMES.get(count(status.get("code")), "")
    name = text(status).strip().upper()
    return _news(condition_of(name), f"health {name}") if name else None


def qr(element: msgspec.Raw, _source: Source) -> NumberNews:
    """Read ``qr`` without its code: the channel has to be linked to a phone."""
    state = text(decode(element, QrShape)[0].status).strip().upper()
    return _news("needs_qr", f"qr {state}".strip())


def user(_element: msgspec.Raw, source: Source) -> NumberNews | None:
    """Read ``user``: whether a phone is linked, which only the event's name says."""
    if source.event == "users.post":
        return _news("ok", "user linked", linked=True)
    return _news("unauthorised", "user unlinked") if source.event == "users.delete" else None


Item = (
    Message
    | Edit
    | Deletion
    | Presence
    | StatusUpdate
    | LabelChange
    | NameChange
    | NumberNews
    | Call
)
Reader = Callable[[msgspec.Raw, Source], Item | None]
"""Reads one element; None if there is nothing of use in it. Raises Unreadable."""

READERS: Mapping[str, Reader] = {
    "messages_removed": removal,
    "presences": presence,
    "statuses": status_update,
    "chats_updates": chat_update,
    "calls": call,
    "contacts": contact,
    "contacts_updates": contact_update,
    "health": health,
    "qr": qr,
    "user": user,
}
"""By the key of the body that the elements stand under."""
