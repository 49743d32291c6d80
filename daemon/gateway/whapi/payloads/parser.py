"""Read the body of a webhook call, or a list of messages from the API.

This runs on the event loop for each webhook, before anything is stored. So it is quick where bodies
are large (two passes over the bytes, nothing built that is not used), and it loses as little as
possible: an odd field costs that field, an unreadable element that element. Only a body that is no
JSON object is refused.

The shapes are described by Whapi's OpenAPI document (version 1.8.7) and its help desk's pages on
webhooks; where these and real traffic disagree, both are accepted.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from daemon.domain.ids import chat_id, is_private
from daemon.domain.messages import (
    AnyContent,
    Call,
    ChangeOrigin,
    ChatKey,
    Deletion,
    Edit,
    LabelChange,
    Message,
    NameChange,
    NumberNews,
    Other,
    Presence,
    Reaction,
    StatusUpdate,
    Vote,
    Webhook,
)
from daemon.errors import WebhookError, WebhookTooLarge
from daemon.gateway.payloads.fields import (
    LONGEST_INDENT,
    REFUSALS,
    Unreadable,
    amount,
    decode,
    decoded,
    flag,
    moment,
    person,
    strict_json,
    string,
    text,
    texts,
)
from daemon.gateway.whapi.payloads.contents import (
    action_of,
    ad_of,
    as_message,
    as_part,
    content_of,
    edit_of,
    kind_of,
    quote_of,
    updated_text,
)
from daemon.gateway.whapi.payloads.other_events import READERS, Item, Reader, Source
from daemon.gateway.whapi.payloads.plain_text import plain_text
from daemon.gateway.whapi.payloads.shapes import Context, MessageShape, UpdateShape

Elements = list[msgspec.Raw] | dict[str, msgspec.Raw] | str | int | float | bool | None
Envelope = dict[str, Elements]

MOST_ELEMENTS = 10_000
"""Elements of one call; Whapi's own lists have 500 at most. A call with more is refused as a whole,
since reading a part would lose the rest, and the whole may be millions."""
_LINES_KEPT = 100
_KEYS_KEPT = 50
_KEY_CHARACTERS = 60

_NO_CONTEXT = Context()

_envelopes = msgspec.json.Decoder(Envelope)


def parse_webhook(body: bytes, *, number: str = "", path_event: str = "") -> Webhook:
    """Read one webhook call of a number.

    ``path_event`` comes from URL and method (``messages.post``) and counts where the body does not
    name its event. Raises WebhookTooLarge if the body holds too much, WebhookError if it is not
    a JSON object; nothing else.
    """
    usual = plain_text(body, number)
    if usual is None:
        return read_any(body, number=number, path_event=path_event)
    event = event_name(*usual.event) or _event_of_path(path_event)
    return Webhook(channel=number, event=event, messages=(usual.message,))


def read_any(body: bytes, *, number: str = "", path_event: str = "") -> Webhook:
    """Read a call of any kind; see `parse_webhook`."""
    envelope = _open(body)
    event = _event(envelope.get("event")) or _event_of_path(path_event)
    reading = _Reading(number, event)
    for key, value in envelope.items():
        reading.read(key, value)
    return reading.webhook()


class _Head(msgspec.Struct):
    channel_id: str = ""


_heads = msgspec.json.Decoder(_Head)


def numbers_in(body: bytes) -> tuple[str, ...]:
    """The channel's id in the body of a call; see `daemon.gateway.port.GatewayKind`."""
    try:
        found = _heads.decode(body).channel_id
    except REFUSALS:
        found = text(_scalar(_open(body).get("channel_id")))
    return (found,) if found else ()


def parse_messages(body: bytes, *, channel: str = "") -> tuple[Message, ...]:
    """Read the messages of a ``GET /messages/list`` answer, in its order; skips unreadable ones.

    Raises WebhookError if the body is not a JSON object.
    """
    reading = _Reading(channel)
    reading.read("messages", _open(body).get("messages"))
    return tuple(reading.found["messages"])


def _open(body: bytes) -> Envelope:
    """Split the body into its keys, and lists into their elements, without decoding those."""
    if not body:
        raise WebhookError("the body is empty")
    start = body[:LONGEST_INDENT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start and not start.startswith(b"{"):
        raise WebhookError("the body is not a JSON object")
    return decoded(body, _envelopes)


class _Reading:
    """The parts read of one body so far."""

    def __init__(self, channel: str, event: str = "") -> None:
        self.source = Source(channel, event)
        self.found: defaultdict[str, list[Any]] = defaultdict(list)
        """By field of `Webhook`."""
        self.labels_changed = False
        self.other_keys: dict[str, None] = {}
        self.unreadable: list[str] = []
        self.unreadable_count = 0
        self.elements = 0

    def webhook(self) -> Webhook:
        """Return the result."""
        missing = self.unreadable_count - len(self.unreadable)
        more = (f"{missing} more parts cannot be read",) if missing else ()
        return Webhook(
            channel=self.source.channel,
            event=self.source.event,
            labels_changed=self.labels_changed,
            other_keys=tuple(self.other_keys),
            unreadable=(*self.unreadable, *more),
            **{field: tuple(items) for field, items in self.found.items()},
        )

    def read(self, key: str, value: Elements) -> None:
        """Read what one key of the payload holds, element by element."""
        if key in {"event", "channel_id"} or value is None:
            return
        reader = _READERS.get(key)
        if reader is None and key not in _LABELS:
            self.note(key)
            return
        if not isinstance(value, list):  # one element where a list of one was meant
            value = [msgspec.Raw(msgspec.json.encode(value))]
        self.elements += len(value)
        if self.elements > MOST_ELEMENTS:
            raise WebhookTooLarge(f"the call has more than {MOST_ELEMENTS} elements")
        if reader is None:  # the channel's labels are asked for again when they are needed
            self.labels_changed |= bool(value)
            return
        for index, element in enumerate(value):
            try:
                item = reader(element, self.source)
            except Unreadable as why:
                self.give_up(f"{key}[{index}]: {why}")
                continue
            if item is None:
                self.note(key)
            else:
                self.found[_FIELDS[type(item)]].append(item)

    def give_up(self, line: str) -> None:
        """Count an unreadable part; the first hundred are named."""
        self.unreadable_count += 1
        if len(self.unreadable) < _LINES_KEPT:
            self.unreadable.append(line)

    def note(self, key: str) -> None:
        """Name a key that is stored without being read."""
        if len(self.other_keys) < _KEYS_KEPT:
            self.other_keys[text(key)[:_KEY_CHARACTERS]] = None


def _message(element: msgspec.Raw, source: Source) -> Message:
    """Read an element of ``messages``."""
    shape, element = decode(element, MessageShape)
    message_id, chat = text(shape.id).strip(), chat_id(text(shape.chat_id))
    if not message_id or not chat:
        raise Unreadable("no id" if not message_id else "no chat_id")
    context = shape.context if isinstance(shape.context, Context) else _NO_CONTEXT
    written_by = text(shape.source)
    # Echoes of our own sends were seen without from_me; they are no customer's words.
    from_me = flag(shape.from_me) or (shape.from_me is None and written_by == "api")
    return Message(
        id=message_id,
        key=ChatKey(source.channel, chat),
        kind=kind_of(shape),
        content=_content(shape, element),
        from_me=from_me,
        source=written_by,
        author=person(shape.sender) or ("" if from_me else _other_side(chat)),
        author_name=text(shape.from_name),
        chat_name=text(shape.chat_name),
        sent_at=moment(shape.timestamp),
        quote=quote_of(context),
        forwarded=flag(context.forwarded),
        mentions=tuple(map(person, texts(context.mentions))),
        ephemeral=flag(context.ephemeral) or amount(context.ephemeral) > 0,
        ad=ad_of(context),
    )


def _update(element: msgspec.Raw, source: Source) -> Edit | Message | None:
    """Read an element of ``messages_updates``: an edit, a reaction, a vote, or nothing of use."""
    shape, _ = decode(element, UpdateShape)
    trigger = as_message(shape.trigger)
    action = as_part(trigger.action)
    target = text(shape.id).strip() or text(action.target)
    if not target:
        raise Unreadable("no id")
    edit = edit_of(action, target=target)
    body = updated_text(shape.before_update, shape.after_update)
    if body or edit is not None:
        words = body or (edit.body if edit else "")
        return Edit(target=target, body=words, origin=_origin(shape, trigger))
    return _trigger(shape, trigger, source)


def _trigger(update: UpdateShape, trigger: MessageShape, source: Source) -> Message | None:
    """Return the reaction or vote that triggered an update; None if something else did.

    It may come in ``messages`` too, under the same id.
    """
    chat = _chat_of(_states(update, trigger))
    message_id = text(trigger.id).strip()
    content = action_of(trigger)
    if not (chat and message_id and isinstance(content, Reaction | Vote)):
        return None
    from_me = flag(trigger.from_me)
    return Message(
        id=message_id,
        key=ChatKey(source.channel, chat),
        kind="action",
        content=content,
        from_me=from_me,
        source=text(trigger.source),
        author=person(trigger.sender) or ("" if from_me else _other_side(chat)),
        author_name=text(trigger.from_name),
        sent_at=moment(trigger.timestamp),
    )


def _states(update: UpdateShape, trigger: MessageShape) -> tuple[MessageShape, ...]:
    """The messages of an update: first the one that made it, which counts most."""
    return trigger, as_message(update.after_update), as_message(update.before_update)


def _chat_of(states: tuple[MessageShape, ...]) -> str:
    return next(filter(None, (chat_id(text(state.chat_id)) for state in states)), "")


def _origin(update: UpdateShape, trigger: MessageShape) -> ChangeOrigin:
    """Where an edit was made, and by whom. Raises Unreadable if it names no chat."""
    states = _states(update, trigger)
    chat = _chat_of(states)
    if not chat:
        raise Unreadable("no chat_id")
    author = next(filter(None, (person(state.sender) for state in states)), "")
    from_me = next((flag(s.from_me) for s in states if s.from_me is not None), False)
    return ChangeOrigin(chat=chat, author=author or _other_side(chat), from_me=from_me)


def _scalar(value: Elements) -> object:
    return None if isinstance(value, list | dict) else value


def _other_side(chat: str) -> str:
    """Name the person of a private chat; other chats do not name the author."""
    return person(chat) if is_private(chat) else ""


def _content(shape: MessageShape, element: msgspec.Raw) -> AnyContent:
    """Return the content; if the fields without a name here cannot be decoded, without them."""
    try:
        return content_of(shape, element)
    except REFUSALS:
        pass
    try:
        return content_of(shape, strict_json(bytes(element)))
    except (*REFUSALS, ValueError):
        return Other()


def _event(value: Elements) -> str:
    """Name the event that the body states: ``{"type": …, "event" or "method": …}``, or a string."""
    if isinstance(value, str):
        return event_name(*value.split("."))
    if not isinstance(value, dict):
        return ""
    kind, event, method = (value.get(key) for key in ("type", "event", "method"))
    return event_name(_words(kind), _words(event) or _words(method))


def _event_of_path(path_event: str) -> str:
    return event_name(*path_event.strip("/").replace("/", ".").split("."))


def _words(raw: msgspec.Raw | None) -> str:
    return "" if raw is None else string(raw)


_READERS: Mapping[str, Reader] = {"messages": _message, "messages_updates": _update, **READERS}
_LABELS = frozenset({"labels", "labels_removed"})
_FIELDS: Mapping[type[Item], str] = {
    Message: "messages",
    Edit: "edits",
    Deletion: "deletions",
    Presence: "presences",
    StatusUpdate: "statuses",
    LabelChange: "label_changes",
    NameChange: "name_changes",
    NumberNews: "number_news",
    Call: "calls",
}
"""Where each kind of item stands in `Webhook`."""


_LEGACY_TYPES = {"message": "messages", "ack": "statuses", "status": "statuses", "chat": "chats"}
"""Whapi's names of before 2024, still sent in path and method delivery."""
_EVENT_CHARACTERS = 60
_EVENTS_KEPT = 256


def event_name(kind: str = "", method: str = "", *_rest: str) -> str:
    """Join type and method, ``messages.post``; old type names become today's."""
    if len(kind) + len(method) <= _EVENT_CHARACTERS:
        return _short_event_name(kind, method)
    return _event_name(kind, method)


def _event_name(kind: str, method: str) -> str:
    kind, method = (text(part).strip().lower()[:_EVENT_CHARACTERS] for part in (kind, method))
    kind = _LEGACY_TYPES.get(kind, kind)
    return f"{kind}.{method}" if kind and method else kind


_short_event_name = lru_cache(_EVENTS_KEPT)(_event_name)
"""There are a few dozen of them, and each call names one."""
