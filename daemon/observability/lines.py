"""Puts one event of the log on one line: for people, and as JSON. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import floor

import msgspec

from daemon.domain.messages import ChatKey
from daemon.observability.events import EventKind, Level


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event, redacted; only ``chat`` says who it is about."""

    kind: EventKind
    """What happened; `WARNING` and the like for a line in free words."""
    event: str
    """The name of the kind, or the free words."""
    symbol: str
    level: Level
    at: datetime
    """When; aware, in the zone of the machine."""
    line: str
    """The line for people in the configured language, without time and symbol, numbers masked.

    Words in it may hold line breaks, which the output replaces.
    """
    fields: Mapping[str, object]
    """The event's fields as plain JSON values, numbers masked; ``exception`` if it has one."""
    chat: ChatKey | None = None
    """The unmasked chat: do not show it to people who may not see it. Its channel may be empty."""
    turn: str = ""
    """The turn that the event belongs to, such as ``turn_00112233aabb``."""


Tap = Callable[[LogRecord], None]
"""Receives events; must return at once and not raise, and may be called in any thread."""


_PLAIN_SYMBOLS = {"warning": "WARNING", "error": "ERROR", "critical": "ALERT"}
"""Begin serious lines where symbols are off."""

_COLORS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_RESET = "\x1b[0m"

# Control characters could control the terminal, bidirectional ones could reorder the line; both may
# come from a customer.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(r"[^\s\"'=\\]+")

_encode = msgspec.json.Encoder().encode


@lru_cache(2)
def utc_second(seconds: int) -> str:
    """Write a Unix time as ``2026-01-31T12:00:00``; many lines share a second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def one_line(text: str) -> str:
    """Write ``text`` without line breaks, control characters and lone surrogates."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").strip("\n").replace("\n", " ⏎ ").replace("\t", " ")
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def with_fields(words: str, fields: Mapping[str, object]) -> str:
    """Write ``words name=value …``, without the exception."""
    shown = [f"{name}={_field(value)}" for name, value in fields.items() if name != "exception"]
    return " ".join([words, *shown])


def human_line(record: LogRecord, *, color: bool, symbols: bool) -> str:
    """Write ``12:03:44 👤 line`` in the time's own zone, followed by an exception if any."""
    at, level = record.at, record.level
    symbol = record.symbol if symbols else _PLAIN_SYMBOLS.get(level, "")
    words = [f"{at.hour:02}:{at.minute:02}:{at.second:02}"]
    words += [symbol, record.line] if symbol else [record.line]
    if "exception" in record.fields:
        words.append(str(record.fields["exception"]))
    line = one_line(" ".join(words))
    return f"{_COLORS[level]}{line}{_RESET}" if color and level in _COLORS else line


def json_line(record: LogRecord, chat_hash: str) -> bytes:
    """Write the event as one JSON object, its time in UTC; ``chat_hash`` empty if there is none."""
    at = record.at
    event: dict[str, object] = {
        "timestamp": f"{utc_second(floor(at.timestamp()))}.{at.microsecond // 1000:03}Z",
        "level": record.level,
        "event": record.event,
    }
    if chat_hash:
        event["chat_hash"] = chat_hash
    event.update(record.fields)
    try:
        return _encode(event)
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError):
        # Lone surrogates and integers of more than 64 bits, which msgspec does not write.
        return json.dumps(event).encode()


def _field(value: object) -> str:
    if isinstance(value, str):
        text = one_line(value)
        return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
    return one_line(json.dumps(value, ensure_ascii=False))


def iso_utc(seconds: float) -> str:
    """Write a Unix time the way JavaScript does: ``2026-01-31T12:00:00.000Z``."""
    second, microseconds = divmod(round(seconds * 1e6), 1_000_000)
    return f"{utc_second(second)}.{microseconds // 1000:03}Z"
