"""Read the body of a webhook call of the Cloud API.

One body may hold several entries, changes and messages, and all of them are read. An odd field
costs that field, an unreadable message that message; only a body that is no JSON object is refused.

Fields as in Meta's pages on webhooks (2026-05 to 2026-11). Phone numbers may be missing anywhere,
or empty: people who have a username show only their *business-scoped user id* (BSUID).
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from daemon.domain.gateway_prices import CATEGORIES, FREE
from daemon.domain.ids import chat_id, group_chat, person_of, scoped_chat
from daemon.domain.messages import (
    ChatKey,
    IdentityChange,
    JsonObject,
    Message,
    NameChange,
    NumberNews,
    StatusUpdate,
    Webhook,
)
from daemon.errors import WebhookError, WebhookTooLarge
from daemon.gateway.cloud.payloads.contents import (
    ad_of,
    as_object,
    is_forwarded,
    kind_and_content,
    objects,
    quote_of,
    verified_phone,
)
from daemon.gateway.cloud.payloads.failures import failure_words
from daemon.gateway.cloud.payloads.news import NEWS, errors_news
from daemon.gateway.payloads.fields import Unreadable, decoded, moment, text

MOST_ELEMENTS = 10_000
"""Messages and statuses of one call; Meta's own have a thousand at most."""
_LINES_KEPT = 100
_KEYS_KEPT = 50
_KEY_CHARACTERS = 60

ECHOES = "smb_message_echoes"
"""Messages written in the Business app of a number that is also there."""
STANDBY = "standby"
"""Customers' messages while the Meta Business Agent has the chat, and its answers."""

_IDENTITY = frozenset({"user_changed_number", "user_changed_user_id"})

_objects = msgspec.json.Decoder(dict[str, Any])


class Names(NamedTuple):
    """The ids of one person in one element; each may be empty."""

    phone: str
    """A chat id."""
    scoped: str
    """Likewise, of the BSUID."""

    @property
    def chat(self) -> str:
        """The chat of this person; empty if none is named."""
        return self.phone or self.scoped


class WebhookChange(NamedTuple):
    """One change of a call."""

    field: str
    number: str
    """Our number, as in `ChatKey`."""
    value: JsonObject


def parse_webhook(
    body: bytes, *, number: str = "", path_event: str = "", phone_number_id: str = ""
) -> Webhook:
    """Read one webhook call.

    ``number`` is what all keys name our number by; empty: Meta's id of it. ``phone_number_id``:
    Meta's id of the only phone number that is wanted; empty: all. Raises WebhookTooLarge if the
    body holds too much, WebhookError if it is not a JSON object.
    """
    envelope = _open(body)
    reading = _CallReading(path_event, number, phone_number_id)
    for index, entry in enumerate(objects(envelope.get("entry"))):
        for change in objects(entry.get("changes")):
            reading.read(change, f"entry[{index}]")
    return reading.webhook()


def numbers_of(body: bytes) -> tuple[str, ...]:
    """Return Meta's ids of the phone numbers that a call is for. Raises as `parse_webhook` does."""
    found = (
        text(as_object(as_object(change.get("value")).get("metadata")).get("phone_number_id"))
        for entry in objects(_open(body).get("entry"))
        for change in objects(entry.get("changes"))
    )
    return tuple(dict.fromkeys(filter(None, found)))


def _open(body: bytes) -> JsonObject:
    if not body:
        raise WebhookError("the body is empty")
    return decoded(body, _objects)


class _CallReading:
    """The parts read of one body so far."""

    def __init__(self, path_event: str, number: str, phone_number_id: str) -> None:
        self._path_event = path_event
        self._only = phone_number_id
        self._channel = number
        self._fields: dict[str, None] = {}
        self._messages: list[Message] = []
        self._statuses: list[StatusUpdate] = []
        self._names: list[NameChange] = []
        self._identities: list[IdentityChange] = []
        self._news: list[NumberNews] = []
        self._other: dict[str, None] = {}
        self._unreadable: list[str] = []
        self._elements = 0

    def webhook(self) -> Webhook:
        """Return the result."""
        return Webhook(
            channel=self._channel,
            event=(next(iter(self._fields), "") or self._path_event)[:_KEY_CHARACTERS],
            messages=tuple(self._messages),
            statuses=tuple(self._statuses),
            name_changes=tuple(self._names),
            identity_changes=tuple(self._identities),
            number_news=tuple(self._news),
            other_keys=tuple(self._other),
            unreadable=tuple(self._unreadable[:_LINES_KEPT]),
        )

    def read(self, change: JsonObject, place: str) -> None:
        """Read one change."""
        field, value = text(change.get("field")), as_object(change.get("value"))
        phone = text(as_object(value.get("metadata")).get("phone_number_id"))
        if self._only and phone and phone != self._only:
            self._note(f"{field} of another number")
            return
        self._channel = self._channel or phone
        self._fields[field] = None
        part = WebhookChange(field, self._channel, value)
        if field in {"messages", STANDBY, ECHOES}:
            self._read_messages(part, place)
        elif field == "smb_app_state_sync":
            self._names += _saved_names(part)
        elif field in NEWS:
            self._news.append(NEWS[field](value))
        else:
            self._note(field)

    def _read_messages(self, part: WebhookChange, place: str) -> None:
        for key in ("messages", "message_echoes"):
            for index, message in enumerate(self._elements_of(part.value, key)):
                try:
                    self._take(message, part, echo=key == "message_echoes")
                except Unreadable as why:
                    self._unreadable.append(f"{place}.{key}[{index}]: {why}")
        for index, status in enumerate(self._elements_of(part.value, "statuses")):
            if update := _status(status):
                self._statuses.append(update)
            else:
                self._unreadable.append(f"{place}.statuses[{index}]: no id")
        self._news += errors_news(part.value)

    def _elements_of(self, value: JsonObject, key: str) -> list[JsonObject]:
        found = objects(value.get(key))
        self._elements += len(found)
        if self._elements > MOST_ELEMENTS:
            raise WebhookTooLarge(f"the call has more than {MOST_ELEMENTS} elements")
        return found

    def _take(self, message: JsonObject, part: WebhookChange, *, echo: bool) -> None:
        if text(message.get("type")) == "system" and not echo:
            if change := _identity_change(message, part.number):
                self._identities.append(change)
            else:
                self._note("system")
            return
        self._messages.append(_echo(message, part) if echo else _message(message, part))

    def _note(self, key: str) -> None:
        """Name what is stored without being read."""
        if len(self._other) < _KEYS_KEPT:
            self._other[key[:_KEY_CHARACTERS]] = None


def _message(message: JsonObject, part: WebhookChange) -> Message:
    """Read what a customer wrote. Raises Unreadable if it says neither who nor under which id."""
    message_id = text(message.get("id")).strip()
    names = _names(message.get("from"), message.get("from_user_id"))
    contact = _contact(part.value, names)
    known = _names(contact.get("wa_id"), contact.get("user_id"))
    shared = chat_id(verified_phone(message))
    names = Names(names.phone or known.phone or shared, names.scoped or known.scoped)
    group = group_chat(text(message.get("group_id")))
    if not message_id or not names.chat:
        raise Unreadable("no id" if not message_id else "no author")
    kind, content = kind_and_content(message)
    profile = as_object(contact.get("profile"))
    return Message(
        id=message_id,
        key=ChatKey(part.number, group or names.chat),
        kind=kind,
        content=content,
        author=person_of(names.chat),
        alias="" if group else _alias(names),
        author_name=text(profile.get("name")) or text(profile.get("username")),
        sent_at=moment(message.get("timestamp")),
        quote=quote_of(message),
        forwarded=is_forwarded(message),
        ad=ad_of(message),
        standby=part.field == STANDBY,
    )


def _echo(message: JsonObject, part: WebhookChange) -> Message:
    """Read what was written from our number, but not by us."""
    message_id = text(message.get("id")).strip()
    names = _names(message.get("to"), message.get("to_user_id"))
    if not names.chat:
        contact = _contact(part.value, names)
        names = _names(contact.get("wa_id"), contact.get("user_id"))
    if not message_id or not names.chat:
        raise Unreadable("no id" if not message_id else "no recipient")
    kind, content = kind_and_content(message)
    return Message(
        id=message_id,
        key=ChatKey(part.number, names.chat),
        kind=kind,
        content=content,
        from_me=True,
        # The Meta Business Agent is a program, not a human agent: no takeover.
        source="business_api" if part.field == STANDBY else "mobile",
        alias=_alias(names),
        sent_at=moment(message.get("timestamp")),
        quote=quote_of(message),
    )


def _names(phone: object, scoped: object) -> Names:
    """An empty phone number is none; a BSUID in its place, as some relays put it there, is one."""
    written = text(phone).strip().removeprefix("+")
    digits = written if written.isascii() and written.isdigit() else ""
    misplaced = "" if digits else scoped_chat(written)
    return Names(chat_id(digits), scoped_chat(text(scoped).strip()) or misplaced)


def _alias(names: Names) -> str:
    return names.scoped if names.phone else ""


def _contact(value: JsonObject, names: Names) -> JsonObject:
    """Return the element of ``contacts`` for an author: by id, else the only one."""
    contacts = objects(value.get("contacts"))
    for contact in contacts:
        theirs = _names(contact.get("wa_id"), contact.get("user_id"))
        if names.chat and (
            (theirs.scoped and theirs.scoped == names.scoped)
            or (theirs.phone and theirs.phone == names.phone)
        ):
            return contact
    return contacts[0] if len(contacts) == 1 else {}


def _identity_change(message: JsonObject, number: str) -> IdentityChange | None:
    """Read a person's new number or BSUID; None if there is none."""
    system = as_object(message.get("system"))
    if text(system.get("type")) not in _IDENTITY:
        return None
    before = _names(message.get("from"), system.get("previous_user_id"))
    after = _names(system.get("wa_id"), system.get("user_id") or message.get("from_user_id"))
    old = tuple(name for name in before if name and name not in after)
    new = tuple(filter(None, after))
    return IdentityChange(number=number, before=old, after=new) if old and new else None


def _status(status: JsonObject) -> StatusUpdate | None:
    message_id = text(status.get("id")).strip()
    if not message_id:
        return None
    word = text(status.get("status")).strip().lower()
    error, again = "", True
    if word == "failed":
        error, again = failure_words(objects(status.get("errors")))
    return StatusUpdate(
        message_id=message_id,
        status=word,
        error=error,
        at=moment(status.get("timestamp")),
        tag=text(status.get("biz_opaque_callback_data")),
        is_final=not again,
        charged_as=_category(as_object(status.get("pricing"))),
    )


def _category(pricing: JsonObject) -> str:
    """Read as what a message is charged. Meta says it once: when it is sent, or delivered."""
    if not pricing:
        return ""
    kind, billable = text(pricing.get("type")), pricing.get("billable")
    if billable is False or (billable is None and kind.startswith(FREE)):
        return FREE
    category = text(pricing.get("category"))
    return category if category in CATEGORIES else "other"


def _saved_names(part: WebhookChange) -> Iterator[NameChange]:
    """Read the address book of the Business app."""
    synced: Iterable[JsonObject] = objects(part.value.get("state_sync"))
    for entry in synced:
        contact = as_object(entry.get("contact"))
        names = _names(contact.get("phone_number"), contact.get("user_id"))
        if text(entry.get("type")) == "contact" and names.chat:
            removed = text(entry.get("action")) == "remove"
            name = "" if removed else text(contact.get("full_name"))
            yield NameChange(key=ChatKey(part.number, names.chat), name=name)


HEADER = b"x-hub-signature-256"
"""The header with the signature, the only proof that a call is Meta's. It covers the bytes as they
came: JSON that is encoded again differs in accents and emoji."""

_SCHEME = b"sha256="


def is_signed(signature: bytes, body: bytes, app_secret: str) -> bool:
    """Tell whether a signature, as its header has it, is that of a body."""
    expected = hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest().encode()
    return hmac.compare_digest(signature, _SCHEME + expected)


def challenge_of(query: Mapping[str, str], verify_token: str) -> str | None:
    """Return the answer that Meta expects when an address is set up; None if the token is wrong.

    ``query``: of the GET request.
    """
    token = query.get("hub.verify_token", "")
    is_known = hmac.compare_digest(token.encode(), verify_token.encode())
    if query.get("hub.mode") != "subscribe" or not verify_token or not is_known:
        return None
    return query.get("hub.challenge", "")
