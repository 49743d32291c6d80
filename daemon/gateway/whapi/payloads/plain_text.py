"""The usual call, one text of a customer in the usual spelling, decoded into its shape at once.

That takes half as long as reading any call (`daemon.gateway.whapi.payloads.parser`). Whatever has
another field, another type or anything to be mended is none, and is read there; both ways read the
same, which `tests/whapi/test_plain_calls.py` holds.
"""

import re
from typing import Annotated, Literal, NamedTuple

import msgspec

from daemon.domain.ids import PLAIN_CHAT
from daemon.domain.messages import ChatKey, Message, Text
from daemon.gateway.payloads.fields import MOST_CHARACTERS

_Word = Annotated[str, msgspec.Meta(max_length=1_000)]


class _WordsOfText(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    body: Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]


class _TextMessage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: _Word
    type: Literal["text"]
    from_me: bool
    chat_id: Annotated[str, msgspec.Meta(pattern=PLAIN_CHAT)]
    sender: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{5,25}\Z")] = msgspec.field(name="from")
    timestamp: Annotated[int, msgspec.Meta(ge=0, lt=100_000_000_000)]
    text: _WordsOfText
    from_name: _Word = ""
    chat_name: _Word = ""
    source: _Word = ""
    device_id: int = 0


class _EventOfText(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: _Word
    event: _Word


class _TextCall(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    messages: tuple[_TextMessage]
    event: _EventOfText
    channel_id: _Word = ""


class PlainText(NamedTuple):
    """A call with one text."""

    message: Message
    event: tuple[str, str]
    """The words that name the event: type and method."""


_calls = msgspec.json.Decoder(_TextCall)
_MENDED = re.compile(rb"\\u0000")
"""A NUL, which is stored as another character."""


def plain_text(body: bytes, number: str) -> PlainText | None:
    """Read a call of a number with one text of a customer; None if it is anything else."""
    try:
        call = _calls.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    found = call.messages[0]
    if found.from_me or found.id.strip() != found.id or not found.id or _MENDED.search(body):
        return None
    message = Message(
        id=found.id,
        key=ChatKey(number, found.chat_id),
        kind="text",
        content=Text(body=found.text.body),
        source=found.source,
        author=found.sender,
        author_name=found.from_name,
        chat_name=found.chat_name,
        sent_at=float(found.timestamp),
    )
    return PlainText(message, (call.event.type, call.event.event))
