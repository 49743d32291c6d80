"""The context line: date, time and contact, and when it is repeated. Pure.

The line becomes part of the thread, so each request begins like the one before and the server's
prompt cache can use it.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from daemon.domain.messages import JsonObject, Value
from daemon.domain.prompt.message_text import data_item
from daemon.domain.records import ChatRecord
from daemon.domain.texts import Texts

RENEWED_AFTER_SECONDS = 3 * 3600.0
"""The replaced system's value: a conversation that resumes after a few hours gets the new time."""

MAX_LABELS = 2
MAX_CHARACTERS = 80
"""Of a name or label, since contacts choose their own names."""

CHANNEL = "WhatsApp"

_json = msgspec.json.Encoder()


class Subject(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The contact or group, as the context line names it."""

    contact_name: str = ""
    chat_name: str = ""
    """The name that the business saved, if it differs."""
    labels: tuple[str, ...] = ()


_read_subject = msgspec.json.Decoder(Subject)


def subject_of(
    chat: ChatRecord, *, saved_name: str = "", labels: Sequence[str] | None = None
) -> Subject:
    """The subject of a chat.

    ``labels`` None: neither they nor the saved name are known now; the last ones still count.
    """
    last = last_subject(chat)
    if labels is None:
        saved_name = last.chat_name if last else ""
        labels = last.labels if last else ()
    contact = _clean(chat.contact_name)
    name = _clean(saved_name) or _clean(chat.name)
    shown = [label for label in map(_clean, labels) if label]
    return Subject(
        contact_name=contact,
        chat_name="" if name == contact or _is_number(name) else name,
        labels=tuple(shown[:MAX_LABELS]),
    )


def last_subject(chat: ChatRecord) -> Subject | None:
    """The subject of the last context line; None if there was none."""
    if not chat.context_text:
        return None
    try:
        return _read_subject.decode(chat.context_text)
    except msgspec.MsgspecError:
        return None


def as_text(subject: Subject) -> str:
    """A subject in its stored form."""
    return _json.encode(subject).decode()


def is_due(chat: ChatRecord, subject: Subject, *, now: float, shown_since: float) -> bool:
    """Whether a new context line is needed. Times are Unix seconds.

    ``shown_since``: the time of the oldest item that is sent; an older line is not sent any more.
    """
    return (
        last_subject(chat) != subject
        or not 0 <= now - chat.context_at < RENEWED_AFTER_SECONDS
        or chat.context_at < shown_since
    )


def context_line(texts: Texts, subject: Subject, local_time: datetime) -> str:
    """The context line: date, time and who the model is talking to."""
    parts = [
        f"{texts.date_label}: {local_time:%d/%m/%Y}",
        f"{texts.time_label}: {local_time:%H:%M} ({local_time.tzname()})",
    ]
    if subject.contact_name:
        parts.append(f"{texts.contact_label}: {subject.contact_name}")
    if subject.chat_name:
        parts.append(f"{texts.chat_label}: {subject.chat_name}")
    if subject.labels:
        parts.append(f"{texts.labels_label}: {', '.join(subject.labels)}")
    parts.append(f"{texts.channel_label}: {CHANNEL}")
    return " | ".join(parts)


def context_item(line: str) -> JsonObject:
    """The line as an input item: data, since contacts choose their names themselves."""
    return data_item("context", line)


def _clean(name: str) -> str:
    """A name on one line, without the separator of the context line."""
    return " ".join(name.replace("|", "/").split())[:MAX_CHARACTERS].rstrip()


def _is_number(name: str) -> bool:
    """Whether a name is only the phone number, as WhatsApp shows unsaved contacts."""
    return name != "" and not any(character.isalpha() for character in name)
