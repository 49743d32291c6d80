"""Read what Whapi tells us: the body of a webhook call, or a list of messages from its API.

Reading happens on the event loop for each webhook, before anything is stored, so it is quick
where bodies are large (two passes over the bytes, nothing built that is not used) and it never
gives up on more than it must: an odd field costs that field, an unreadable element that element.
Only a body that is no JSON object is refused.

The shapes are described by Whapi's OpenAPI document (version 1.8.7) and its help desk's pages on
webhooks; where these and real traffic disagree, both are accepted.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from daemon.errors import WebhookError
from daemon.model import (
    AnyContent,
    Call,
    ChannelNews,
    ChatKey,
    Deletion,
    Edit,
    LabelChange,
    Message,
    NameChange,
    Other,
    Presence,
    Reaction,
    StatusUpdate,
    Vote,
    Webhook,
)
from daemon.whapi.channel_events import (
    ContactUpdateShape,
    HealthShape,
    NamedShape,
    QrShape,
    health_news,
    name_change,
    qr_news,
    user_news,
)
from daemon.whapi.contents import (
    action_of,
    content_of,
    edit_of,
    first_error,
    kind_of,
    quote_of,
    status_name,
    updated_text,
)
from daemon.whapi.fields import (
    PERSON_SUFFIX,
    amount,
    chat_id,
    event_name,
    flag,
    label_names,
    moment,
    person,
    strict_json,
    text,
    texts,
)
from daemon.whapi.shapes import (
    CallShape,
    ChatShape,
    ChatUpdateShape,
    Context,
    MessageShape,
    PresenceShape,
    StatusShape,
    UpdateShape,
    as_message,
    as_part,
)

__all__ = ["chat_id", "parse_messages", "parse_webhook"]

Shape = TypeVar("Shape")
Elements = list[msgspec.Raw] | dict[str, msgspec.Raw] | str | int | float | bool | None
Envelope = dict[str, Elements]

_LINES_KEPT = 100
_MOST_UNREADABLE = 10_000
"""After so many unusable elements a body is junk; looking at millions would block the loop."""
_KEYS_KEPT = 50
_KEY_CHARACTERS = 60
_LONGEST_INDENT = 64
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it will not decode."""

_envelopes = msgspec.json.Decoder(Envelope)


class Unreadable(Exception):
    """This element cannot be used; the text says why, without its content."""


def parse_webhook(body: bytes, *, path_event: str = "") -> Webhook:
    """Read one webhook call.

    ``path_event`` is what the URL and method said (``messages.post``), used where the body does
    not name its event. Raises WebhookError if the body is not a JSON object; nothing else.
    """
    envelope = _open(body)
    event = _event(envelope.get("event")) or event_name(
        *path_event.strip("/").replace("/", ".").split(".")
    )
    reading = _Reading(text(_scalar(envelope.get("channel_id"))), event)
    for key, value in envelope.items():
        reading.read(key, value)
    return reading.webhook()


def parse_messages(body: bytes, *, channel: str = "") -> tuple[Message, ...]:
    """Read the messages of a ``GET /messages/list`` answer, in its order; skips unreadable ones.

    Raises WebhookError if the body is not a JSON object.
    """
    reading = _Reading(channel)
    reading.read("messages", _open(body).get("messages"))
    return tuple(reading.messages)


def _open(body: bytes) -> Envelope:
    """Split the body into its keys, and lists into their elements, without decoding those."""
    if not body:
        raise WebhookError("the body is empty")
    start = body[:_LONGEST_INDENT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start and not start.startswith(b"{"):
        raise WebhookError("the body is not a JSON object")
    try:
        return _envelopes.decode(body)
    except _REFUSALS:
        pass
    try:
        return _envelopes.decode(strict_json(body))
    except RecursionError:
        raise WebhookError("the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise WebhookError("the body is not a JSON object") from None
    except (msgspec.MsgspecError, ValueError):
        raise WebhookError("the body is not JSON") from None


class _Reading:
    """What has been read of one body so far."""

    def __init__(self, channel: str, event: str = "") -> None:
        self.channel = channel
        self.event = event
        self.messages: list[Message] = []
        self.presences: list[Presence] = []
        self.statuses: list[StatusUpdate] = []
        self.edits: list[Edit] = []
        self.deletions: list[Deletion] = []
        self.label_changes: list[LabelChange] = []
        self.name_changes: list[NameChange] = []
        self.labels_changed = False
        self.channel_news: list[ChannelNews] = []
        self.calls: list[Call] = []
        self.other_keys: dict[str, None] = {}
        self.unreadable: list[str] = []
        self.unreadable_count = 0
        self.readers: dict[str, Callable[[msgspec.Raw], None]] = {
            "messages": self.message,
            "messages_updates": self.update,
            "messages_removed": self.removal,
            "presences": self.presence,
            "statuses": self.status,
            "chats_updates": self.chat_update,
            "calls": self.call,
            "contacts": self.contact,
            "contacts_updates": self.contact_update,
            "labels": self.labels,
            "labels_removed": self.labels,
            "health": self.health,
            "qr": self.qr,
            "user": self.user,
        }

    def webhook(self) -> Webhook:
        """Give the result."""
        missing = self.unreadable_count - len(self.unreadable)
        more = (f"{missing} more parts cannot be read",) if missing else ()
        return Webhook(
            channel=self.channel,
            event=self.event,
            messages=tuple(self.messages),
            presences=tuple(self.presences),
            statuses=tuple(self.statuses),
            edits=tuple(self.edits),
            deletions=tuple(self.deletions),
            label_changes=tuple(self.label_changes),
            name_changes=tuple(self.name_changes),
            labels_changed=self.labels_changed,
            channel_news=tuple(self.channel_news),
            calls=tuple(self.calls),
            other_keys=tuple(self.other_keys),
            unreadable=(*self.unreadable, *more),
        )

    def read(self, key: str, value: Elements) -> None:
        """Read what one key of the payload holds, element by element."""
        if key in {"event", "channel_id"} or value is None:
            return
        reader = self.readers.get(key)
        if reader is None:
            self.note(key)
            return
        if not isinstance(value, list):  # one element where a list of one was meant
            value = [msgspec.Raw(msgspec.json.encode(value))]
        for index, element in enumerate(value):
            try:
                reader(element)
            except Unreadable as why:
                self.give_up(f"{key}[{index}]: {why}")
            if self.unreadable_count >= _MOST_UNREADABLE:
                break

    def give_up(self, line: str) -> None:
        """Count an unreadable part; the first hundred are named."""
        self.unreadable_count += 1
        if len(self.unreadable) < _LINES_KEPT:
            self.unreadable.append(line)

    def note(self, key: str) -> None:
        """Name a key that is stored without being read."""
        if len(self.other_keys) < _KEYS_KEPT:
            self.other_keys[text(key)[:_KEY_CHARACTERS]] = None

    def message(self, element: msgspec.Raw) -> None:
        """Read an element of ``messages``."""
        shape, element = _decode(element, MessageShape)
        message_id, chat = text(shape.id).strip(), chat_id(text(shape.chat_id))
        if not message_id or not chat:
            raise Unreadable("no id" if not message_id else "no chat_id")
        context = shape.context if isinstance(shape.context, Context) else Context()
        source = text(shape.source)
        # Echoes of our own sends have been seen without from_me; they must not pass for a
        # customer's words.
        from_me = flag(shape.from_me) or (shape.from_me is None and source == "api")
        self.messages.append(
            Message(
                id=message_id,
                key=ChatKey(self.channel, chat),
                kind=kind_of(shape),
                content=_content(shape, element),
                from_me=from_me,
                source=source,
                author=person(shape.sender) or ("" if from_me else _other_side(chat)),
                author_name=text(shape.from_name),
                chat_name=text(shape.chat_name),
                sent_at=moment(shape.timestamp),
                quote=quote_of(context),
                forwarded=flag(context.forwarded),
                mentions=tuple(map(person, texts(context.mentions))),
                ephemeral=flag(context.ephemeral) or amount(context.ephemeral) > 0,
            )
        )

    def update(self, element: msgspec.Raw) -> None:
        """Read an element of ``messages_updates``: an edit, a reaction, a vote, or nothing of use.

        A reaction or vote is the message that triggered the update: it may come in ``messages``
        too, under the same id.
        """
        shape, _ = _decode(element, UpdateShape)
        trigger = as_message(shape.trigger)
        action = as_part(trigger.action)
        target = text(shape.id).strip() or text(action.target)
        if not target:
            raise Unreadable("no id")
        edit = edit_of(action, target=target)
        body = updated_text(shape.before_update, shape.after_update)
        if body:
            self.edits.append(Edit(target=target, body=body))
        elif edit is not None:
            self.edits.append(edit)
        elif not self.trigger(shape, trigger):
            self.note("messages_updates")

    def trigger(self, update: UpdateShape, trigger: MessageShape) -> bool:
        """Take a reaction or a vote that an update tells of; False if it tells of neither."""
        states = (trigger, as_message(update.after_update), as_message(update.before_update))
        chat = next(filter(None, (chat_id(text(state.chat_id)) for state in states)), "")
        message_id = text(trigger.id).strip()
        content = action_of(trigger)
        if not (chat and message_id and isinstance(content, Reaction | Vote)):
            return False
        from_me = flag(trigger.from_me)
        self.messages.append(
            Message(
                id=message_id,
                key=ChatKey(self.channel, chat),
                kind="action",
                content=content,
                from_me=from_me,
                source=text(trigger.source),
                author=person(trigger.sender) or ("" if from_me else _other_side(chat)),
                author_name=text(trigger.from_name),
                sent_at=moment(trigger.timestamp),
            )
        )
        return True

    def call(self, element: msgspec.Raw) -> None:
        """Read an element of ``calls``."""
        shape, _ = _decode(element, CallShape)
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
        target = _string(element) or text(_decode(element, StatusShape)[0].id)
        target = text(target).strip()
        if not target:
            raise Unreadable("no id")
        self.deletions.append(Deletion(target=target))

    def presence(self, element: msgspec.Raw) -> None:
        """Read an element of ``presences``."""
        shape, _ = _decode(element, PresenceShape)
        chat, status = chat_id(text(shape.contact_id)), text(shape.status).strip().lower()
        if not chat or not status:
            raise Unreadable("no contact_id" if not chat else "no status")
        self.presences.append(Presence(key=ChatKey(self.channel, chat), status=status))

    def status(self, element: msgspec.Raw) -> None:
        """Read an element of ``statuses``."""
        shape, _ = _decode(element, StatusShape)
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
        shape, _ = _decode(element, ChatUpdateShape)
        after = shape.after_update if isinstance(shape.after_update, ChatShape) else ChatShape()
        chat = chat_id(text(after.id))
        if chat and (isinstance(after.labels, list) or "labels" in texts(shape.changes)):
            labels = label_names(after.labels)
            self.label_changes.append(LabelChange(key=ChatKey(self.channel, chat), labels=labels))
        elif "name" not in texts(shape.changes) or not self.named(after, shape.changes):
            self.note("chats_updates")

    def contact(self, element: msgspec.Raw) -> None:
        """Read an element of ``contacts``: a contact that is new or was saved."""
        shape, _ = _decode(element, NamedShape)
        if not self.named(shape, None):
            self.note("contacts")

    def contact_update(self, element: msgspec.Raw) -> None:
        """Read an element of ``contacts_updates``: a new name, or something that is only noted."""
        shape, _ = _decode(element, ContactUpdateShape)
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
        self.tell_of_channel(health_news(_decode(element, HealthShape)[0]), "health")

    def qr(self, element: msgspec.Raw) -> None:
        """Read ``qr``, but for its code: the channel wants to be linked to a phone."""
        self.tell_of_channel(qr_news(_decode(element, QrShape)[0]), "qr")

    def user(self, _element: msgspec.Raw) -> None:
        """Read ``user``: the channel was linked to a phone, or is not any more."""
        self.tell_of_channel(user_news(self.event), "user")

    def tell_of_channel(self, news: ChannelNews | None, key: str) -> None:
        """Keep what is said of the channel, or note the key if it says nothing."""
        if news is None:
            self.note(key)
        else:
            self.channel_news.append(news)


def _decode(element: msgspec.Raw, shape: type[Shape]) -> tuple[Shape, msgspec.Raw]:
    """Decode one element, also if it is not strict JSON; gives its strict JSON too."""
    try:
        return msgspec.json.decode(element, type=shape), element
    except _REFUSALS:
        pass
    if not bytes(memoryview(element)[:_LONGEST_INDENT]).lstrip().startswith(b"{"):
        raise Unreadable("not an object")
    try:
        element = msgspec.Raw(strict_json(bytes(element)))
        return msgspec.json.decode(element, type=shape), element
    except (*_REFUSALS, ValueError):
        raise Unreadable("cannot be decoded") from None


def _scalar(value: Elements) -> object:
    return None if isinstance(value, list | dict) else value


def _other_side(chat: str) -> str:
    """Name the person of a one-to-one chat; in other chats the author is not known from it."""
    return person(chat) if chat.endswith((PERSON_SUFFIX, "@lid")) else ""


def _content(shape: MessageShape, element: msgspec.Raw) -> AnyContent:
    """Give the content; where the fields that nobody named cannot be decoded, without these."""
    try:
        return content_of(shape, element)
    except _REFUSALS:
        pass
    try:
        return content_of(shape, strict_json(bytes(element)))
    except (*_REFUSALS, ValueError):
        return Other()


def _event(value: Elements) -> str:
    """Name the event that the body states: ``{"type": …, "event" or "method": …}``, or a string."""
    if isinstance(value, str):
        return event_name(*value.split("."))
    if not isinstance(value, dict):
        return ""
    names = {key: _string(raw) for key, raw in value.items() if key in {"type", "event", "method"}}
    return event_name(names.get("type", ""), names.get("event") or names.get("method", ""))


def _string(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except _REFUSALS:
        return ""
