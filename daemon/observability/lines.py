"""Puts one event of the log on one line, for people and as JSON, and limits repeated ones. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import NamedTuple

import msgspec

from daemon.domain.messages import ChatKey
from daemon.observability.events import EventKind, Level


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event, redacted; only ``chat`` says who it is about."""

    kind: EventKind
    """The kind of event; `WARNING` and the like for a line in free words."""
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


# -- repeated events: some lines a period are written, the others are counted ----------------------


PERIOD_SECONDS = 60.0

MAX_KEYS = 200
"""Kinds counted at the same time; further ones share one count."""

OTHERS = "(others)"


class Repeated(NamedTuple):
    """Lines of one kind that were left out."""

    key: str
    lines: int


@dataclass(slots=True)
class _Count:
    begun: float
    written: int = 0
    left_out: int = 0


class Noise:
    """The counts of the current periods. Not thread-safe."""

    def __init__(self, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._period = period_seconds
        self._counts: dict[str, _Count] = {}
        self._next_end = float("inf")
        self._last = float("-inf")

    def admits(self, key: str, *, limit: int, now: float) -> bool:
        """Decide whether a line is written, if ``limit`` lines of its kind are allowed in a period.

        Call `ended` first, so that the count of a past period is not lost. ``now`` is in seconds
        on any clock; a clock that is set back starts new periods.
        """
        self._last = now
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MAX_KEYS:
                key = OTHERS
            count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(begun=now)
            self._next_end = min(self._next_end, now + self._period)
        if count.written < limit:
            count.written += 1
            return True
        count.left_out += 1
        return False

    @property
    def counts(self) -> bool:
        """True while there is a period that could end. Any thread may call it."""
        return bool(self._counts)

    def ended(self, now: float) -> list[Repeated]:
        """Close the periods that are over and return what they left out."""
        forward, self._last = now >= self._last, now
        if forward and now < self._next_end:
            return []
        over = {
            key: count
            for key, count in self._counts.items()
            if not count.begun <= now < count.begun + self._period
        }
        for key in over:
            del self._counts[key]
        begun = [count.begun for count in self._counts.values()]
        self._next_end = min(begun, default=float("inf")) + self._period
        return [Repeated(key, count.left_out) for key, count in over.items() if count.left_out]

    def end(self) -> list[Repeated]:
        """Close all periods at the end of the log and return what they left out."""
        left = [Repeated(key, count.left_out) for key, count in self._counts.items()]
        self._counts.clear()
        self._next_end = float("inf")
        return [repeated for repeated in left if repeated.lines]
