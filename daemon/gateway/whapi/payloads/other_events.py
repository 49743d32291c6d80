"""Read what a webhook call reports besides messages: typing, statuses, calls, chats, the channel.

Shapes as in Whapi's OpenAPI document, version 1.8.7, and its help desk's page on the state of
account and device. The picture and the text of a QR code are never read: with them anybody could
link our number.
"""

from collections.abc import Callable, Mapping

import msgspec

from daemon.domain.ids import chat_id
from daemon.domain.messages import (
    Call,
    ChangeOrigin,
    ChatKey,
    Deletion,
    LabelChange,
    NameChange,
    NumberCondition,
    NumberNews,
    Presence,
    StatusUpdate,
    Webhook,
)
from daemon.gateway.whapi.payloads.contents import first_error, status_name
from daemon.gateway.whapi.payloads.fields import (
    Unreadable,
    count,
    decode,
    flag,
    label_names,
    moment,
    person,
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
)

_HEALTH_NAMES = {1: "INIT", 2: "LAUNCH", 3: "QR", 4: "AUTH", 5: "ERROR"}
"""By code: 1, 2, 3 and 5 are documented, 4 is seen on live channels."""

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
    """Give the condition that a health status of Whapi's stands for."""
    return _CONDITIONS.get(status, "unknown")


def advice(condition: NumberCondition, words: str) -> str:
    """Add to the words for a condition what an operator has to do about it."""
    remedy = _REMEDIES.get(condition)
    return f"{words}; {remedy}" if remedy else words


def _news(condition: NumberCondition, words: str, *, linked: bool = False) -> NumberNews:
    return NumberNews(condition=condition, detail=advice(condition, words), linked=linked)


def health_news(shape: HealthShape) -> NumberNews | None:
    """Give the channel's state, or None if none is named."""
    status = shape.status
    if isinstance(status, dict):
        status = text(status.get("text")) or _HEALTH_NAMES.get(count(status.get("code")), "")
    name = text(status).strip().upper()
    return _news(condition_of(name), f"health {name}") if name else None


def qr_news(shape: QrShape) -> NumberNews:
    """Say that the channel has to be linked, with the state of its code."""
    return _news("needs_qr", f"qr {text(shape.status).strip().upper()}".strip())


def user_news(event: str) -> NumberNews | None:
    """Give what happened to the phone's link; only the event's name says it."""
    if event == "users.post":
        return _news("ok", "user linked", linked=True)
    return _news("unauthorised", "user unlinked") if event == "users.delete" else None


def name_change(channel: str, after: object, changes: object) -> NameChange | None:
    """Give a contact's or chat's new name; None if it has none, or something else was changed."""
    named = texts(changes)
    if not isinstance(after, NamedShape | ChatShape) or (named and "name" not in named):
        return None
    chat, name = chat_id(text(after.id)), text(after.name).strip()
    return NameChange(key=ChatKey(channel, chat), name=name) if chat and name else None


class OtherEvents:
    """What has been read so far of one body, but for its messages."""

    def __init__(self, channel: str, event: str, note: Callable[[str], None]) -> None:
        """``note`` gets the key of what is stored without being read."""
        self.channel = channel
        self.event = event
        self.note = note
        self.presences: list[Presence] = []
        self.statuses: list[StatusUpdate] = []
        self.deletions: list[Deletion] = []
        self.label_changes: list[LabelChange] = []
        self.name_changes: list[NameChange] = []
        self.labels_changed = False
        self.number_news: list[NumberNews] = []
        self.calls: list[Call] = []

    def added_to(self, webhook: Webhook) -> Webhook:
        """The call with all of this."""
        return msgspec.structs.replace(
            webhook,
            presences=tuple(self.presences),
            statuses=tuple(self.statuses),
            deletions=tuple(self.deletions),
            label_changes=tuple(self.label_changes),
            name_changes=tuple(self.name_changes),
            labels_changed=self.labels_changed,
            number_news=tuple(self.number_news),
            calls=tuple(self.calls),
        )

    def call(self, element: msgspec.Raw) -> None:
        """Read an element of ``calls``."""
        shape, _ = decode(element, CallShape)
        call_id = text(shape.id).strip()
        chat = chat_id(text(shape.chat_id)) or chat_id(text(shape.sender))
        if not call_id or not chat:
            raise Unreadable("no id" if not call_id else "no chat_id")
        self.calls.append(
            Call(
                id=call_id,
                key=ChatKey(self.channel, chat),
                status=text(shape.status).strip().lower(),
                video=flag(shape.video_call),
                at=moment(shape.timestamp),
            )
        )

    def removal(self, element: msgspec.Raw) -> None:
        """Read an element of ``messages_removed``: a message id, bare or in an object."""
        bare = string(element)
        shape = MessageShape() if bare else decode(element, MessageShape)[0]
        target, chat = text(bare or shape.id).strip(), chat_id(text(shape.chat_id))
        if not target:
            raise Unreadable("no id")
        origin = ChangeOrigin(chat=chat, author=person(shape.sender), from_me=flag(shape.from_me))
        self.deletions.append(Deletion(target=target, origin=origin if chat else None))

    def presence(self, element: msgspec.Raw) -> None:
        """Read an element of ``presences``."""
        shape, _ = decode(element, PresenceShape)
        chat, status = chat_id(text(shape.contact_id)), text(shape.status).strip().lower()
        if not chat or not status:
            raise Unreadable("no contact_id" if not chat else "no status")
        self.presences.append(Presence(key=ChatKey(self.channel, chat), status=status))

    def status(self, element: msgspec.Raw) -> None:
        """Read an element of ``statuses``."""
        shape, _ = decode(element, StatusShape)
        message_id = text(shape.id).strip()
        status = text(shape.status).strip().lower() or status_name(shape.code)
        if not message_id or not status:
            raise Unreadable("no id" if not message_id else "no status")
        self.statuses.append(
            StatusUpdate(
                message_id=message_id,
                status=status,
                error=first_error(shape.errors),
                at=moment(shape.timestamp),
            )
        )

    def chat_update(self, element: msgspec.Raw) -> None:
        """Read an element of ``chats_updates``: labels, a name, or what is only noted (mute)."""
        shape, _ = decode(element, ChatUpdateShape)
        after = shape.after_update if isinstance(shape.after_update, ChatShape) else ChatShape()
        chat = chat_id(text(after.id))
        if chat and (isinstance(after.labels, list) or "labels" in texts(shape.changes)):
            labels = label_names(after.labels)
            self.label_changes.append(LabelChange(key=ChatKey(self.channel, chat), labels=labels))
        elif "name" not in texts(shape.changes) or not self.named(after, shape.changes):
            self.note("chats_updates")

    def contact(self, element: msgspec.Raw) -> None:
        """Read an element of ``contacts``: a contact that is new or was saved."""
        shape, _ = decode(element, NamedShape)
        if not self.named(shape, None):
            self.note("contacts")

    def contact_update(self, element: msgspec.Raw) -> None:
        """Read an element of ``contacts_updates``: a new name, or something that is only noted."""
        shape, _ = decode(element, ContactUpdateShape)
        if not self.named(shape.after_update, shape.changes):
            self.note("contacts_updates")

    def named(self, after: object, changes: object) -> bool:
        """Take the new name of a contact or chat; False if there is none."""
        change = name_change(self.channel, after, changes)
        if change is not None:
            self.name_changes.append(change)
        return change is not None

    def labels(self, _element: msgspec.Raw) -> None:
        """Note that the channel has other labels than before; they are read anew when needed."""
        self.labels_changed = True

    def health(self, element: msgspec.Raw) -> None:
        """Read ``health``: the state of the channel."""
        self.add_news(health_news(decode(element, HealthShape)[0]), "health")

    def qr(self, element: msgspec.Raw) -> None:
        """Read ``qr`` without its code: the channel has to be linked to a phone."""
        self.add_news(qr_news(decode(element, QrShape)[0]), "qr")

    def user(self, _element: msgspec.Raw) -> None:
        """Read ``user``: the channel was linked to a phone, or is not any more."""
        self.add_news(user_news(self.event), "user")

    def add_news(self, news: NumberNews | None, key: str) -> None:
        """Keep news of the number; note the key if there are none."""
        if news is None:
            self.note(key)
        else:
            self.number_news.append(news)


READERS: Mapping[str, Callable[[OtherEvents, msgspec.Raw], None]] = {
    "messages_removed": OtherEvents.removal,
    "presences": OtherEvents.presence,
    "statuses": OtherEvents.status,
    "chats_updates": OtherEvents.chat_update,
    "calls": OtherEvents.call,
    "contacts": OtherEvents.contact,
    "contacts_updates": OtherEvents.contact_update,
    "labels": OtherEvents.labels,
    "labels_removed": OtherEvents.labels,
    "health": OtherEvents.health,
    "qr": OtherEvents.qr,
    "user": OtherEvents.user,
}
"""By the key of the body, what reads one element under it."""
