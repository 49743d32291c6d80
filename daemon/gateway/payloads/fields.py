"""Read single fields and elements of foreign JSON, and the answer to a call of ours. Pure.

Gateways' payloads do not always keep to their schema: a timestamp comes as a string, a number is
larger than 64 bits, a text is null. The functions for fields never fail: each gives the nearest
usable value, so that one odd field never costs a message.
"""

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from daemon.domain.ids import chat_id, person_of
from daemon.domain.messages import JsonObject
from daemon.errors import GatewayError, WebhookError, WebhookTooLarge

MOST_CHARACTERS = 65_536
"""Of one message. WhatsApp accepts no longer text, and shorter captions; the stored call keeps the
whole."""

_READABLE_KEYS = ("body", "text", "caption", "title", "name", "description", "file_name")
_READABLE_DEPTH = 3

_DROPPED_KEYS = frozenset({"preview", "waveform"})
_KEPT_CHARACTERS = 2_000
_KEPT_KEY_CHARACTERS = 100
_KEPT_ENTRIES = 50
_KEPT_VALUES = 400
_KEPT_TOTAL_CHARACTERS = 20_000
_KEPT_DEPTH = 6

_LARGEST_INTEGER = 2**63 - 1  # SQLite's, and safe for every JSON encoder here
_LONGEST_NUMBER = 40
_NUMERIC = (int, float, str)
_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138; some times are in milliseconds


def person(value: object) -> str:
    """Return the digits of a person's id, or the whole id if it is not a phone number's."""
    return person_of(chat_id(text(value)))


def text(value: object) -> str:
    """Return a string: numbers as digits, everything else that is no string as ``""``.

    NUL becomes U+FFFD, since SQLite's text functions end at it.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else str(value)
    return ""


def texts(value: object) -> tuple[str, ...]:
    """Return the non-empty strings of a list; of anything but a list, none."""
    if not isinstance(value, list):
        return ()
    return tuple(found for item in value if (found := text(item)))


def number(value: object) -> float | None:
    """Return a finite number, also from a string of digits, or None."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def amount(value: object) -> float:
    """Return a number that is not negative; 0 for anything else."""
    return 0.0 if value is None else max(0.0, number(value) or 0.0)


def count(value: object) -> int:
    """Return a whole number from 0 to 2**63-1; 0 for anything else."""
    found = int(amount(value))
    return found if found <= _LARGEST_INTEGER else 0


def moment(value: object) -> float:
    """Return Unix seconds, also from milliseconds; 0 for anything else."""
    found = amount(value)
    return found / 1000 if found >= _MILLISECONDS_FROM else found


def flag(value: object) -> bool:
    """Return True for ``true``, ``"true"`` and 1."""
    if value is None or isinstance(value, bool):
        return value is True
    return text(value).lower() in {"true", "1"}


def readable(value: object, *, depth: int = _READABLE_DEPTH) -> str:
    """Find the words a person would read in a foreign value; ``""`` if there are none.

    Looks under the keys that gateways use for words, in order of interest, and inside of them.
    """
    if depth == 0:
        return ""
    if isinstance(value, dict):
        found = (readable(value.get(key), depth=depth - 1) for key in _READABLE_KEYS)
        return next(filter(None, found), "")
    return words(value) if isinstance(value, str) else ""


def words(value: object) -> str:
    """Return a string that a person wrote, cut at WhatsApp's own limit."""
    return text(value[:MOST_CHARACTERS] if isinstance(value, str) else value)


def shortened(value: JsonObject) -> JsonObject:
    """Return a copy that is small and safe to store: bounded in depth, entries and characters.

    Image previews and waveforms go; long strings are cut; numbers that do not fit 64 bits become
    floats. At most about 20,000 characters of strings remain.
    """
    found = _Shortening().value(value, depth=_KEPT_DEPTH)
    return found if isinstance(found, dict) else {}


class _Shortening:
    """One pass of ``shortened``, with what is left of its allowance."""

    def __init__(self) -> None:
        self.values = _KEPT_VALUES
        self.characters = _KEPT_TOTAL_CHARACTERS

    def value(self, value: object, *, depth: int) -> object:
        self.values -= 1
        if isinstance(value, str):
            kept = text(value[: min(_KEPT_CHARACTERS, self.characters)])
            self.characters -= len(kept)
            return kept
        if isinstance(value, int | float):
            return value if abs(value) <= _LARGEST_INTEGER else number(value)
        if value is None or depth == 0:
            return None
        return self.entries(value, depth=depth - 1)

    def entries(self, value: object, *, depth: int) -> object:
        if isinstance(value, list):
            return [self.value(v, depth=depth) for v in value[:_KEPT_ENTRIES] if self.values > 0]
        if isinstance(value, dict):
            names = [name for name in value if name not in _DROPPED_KEYS][:_KEPT_ENTRIES]
            return {
                text(name)[:_KEPT_KEY_CHARACTERS]: self.value(value[name], depth=depth)
                for name in names
                if self.values > 0
            }
        return None


_MOST_LENIENT_BYTES = 16 * 1024 * 1024
"""Long texts of people are some ten thousand bytes; files in base64 are not among them."""


def strict_json(body: bytes) -> bytes:
    """Rewrite lenient JSON as the strict JSON that the fast decoder wants.

    Lone surrogates and bytes that are not UTF-8 become U+FFFD; NaN, infinities and numbers out of
    range become null; control characters in strings are allowed. Several times slower than the
    fast path, so only for what that one refuses.

    Raises ValueError if it is not JSON at all, RecursionError if it is nested too deeply, and
    WebhookTooLarge if it is too long: it is in memory four times meanwhile, in four bytes a
    character if one of them needs so many.
    """
    if len(body) > _MOST_LENIENT_BYTES:
        raise WebhookTooLarge("the body is not strict JSON, and too long to be mended")
    value = json.loads(
        body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"),
        parse_constant=_no_constant,
        parse_float=number,
        parse_int=_integer,
        strict=False,
    )
    return without_surrogates(json.dumps(value, ensure_ascii=False)).encode()


def without_surrogates(words: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, so that it can be encoded."""
    return _LONE_SURROGATES.sub("\ufffd", words)


_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def _no_constant(_name: str) -> Any:
    return None


def _integer(digits: str) -> int | str | None:
    if len(digits) <= 20:
        return int(digits)
    return digits if len(digits) <= _LONGEST_NUMBER else None


# -- elements: each is decoded by itself, so that its faults cost nothing else ---------------------

Shape = TypeVar("Shape")

LONGEST_INDENT = 64
REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for bytes that it cannot decode."""

_decoder = lru_cache(msgspec.json.Decoder)
_strings = msgspec.json.Decoder(str)


class Unreadable(Exception):
    """This element cannot be used; the text says why, without its content."""


def decode(element: msgspec.Raw, shape: type[Shape]) -> tuple[Shape, msgspec.Raw]:
    """Decode one element, also if it is not strict JSON; gives its strict JSON too."""
    try:
        return _decoder(shape).decode(element), element  # type: ignore[arg-type]  # it is hashable
    except REFUSALS:
        pass
    if not bytes(memoryview(element)[:LONGEST_INDENT]).lstrip().startswith(b"{"):
        raise Unreadable("not an object")
    try:
        element = msgspec.Raw(strict_json(bytes(element)))
        return msgspec.json.decode(element, type=shape), element
    except (*REFUSALS, ValueError):
        raise Unreadable("cannot be decoded") from None


def string(raw: msgspec.Raw) -> str:
    """Return the text that an element is; empty if it is none."""
    try:
        return _strings.decode(raw)
    except REFUSALS:
        return ""


# -- whole bodies ----------------------------------------------------------------------------------

MOST_VALUES = 1_000_000
"""Values of one call, counted by commas and brackets: a value of two bytes takes up to 200 when it
is read."""
_COUNTED_BYTES = 1024 * 1024
"""Of a body, between two comparisons with the limit."""


def refuse_many_values(body: bytes) -> None:
    """Raise WebhookTooLarge for a body with too many values; a small one cannot have them."""
    if len(body) <= MOST_VALUES:
        return
    left = MOST_VALUES
    for start in range(0, len(body), _COUNTED_BYTES):
        end = start + _COUNTED_BYTES
        left -= sum(body.count(mark, start, end) for mark in (b",", b"[", b"{"))
        if left < 0:
            raise WebhookTooLarge(f"the body has more than {MOST_VALUES} values")


# -- one HTTP exchange with a gateway, as values ---------------------------------------------------


UPLOAD_BYTES_PER_SECOND = 250_000
"""Of a slow line: the time allowed for a call grows with its file."""


class ApiCall(NamedTuple):
    """One call of a gateway's API."""

    operation: str
    """Its name in errors and metrics."""
    method: str
    path: str
    content: JsonObject | None = None
    query: Mapping[str, str] | None = None
    extra_seconds: float = 0
    """Allowed beyond the time for one exchange."""
    body: bytes = b""
    """The content, if it is no JSON; of the type ``content_type``."""
    content_type: str = ""


class Refusal(NamedTuple):
    """The meaning of an unsuccessful answer for the caller."""

    error: type[GatewayError]
    words: str
    """For the log; nothing of a person is in them."""
    named: frozenset[str] = frozenset()
    """The optional parts of a message that it points at: see ``daemon.errors.RefusedForm``."""
    retry_after: float | None = None
    """Seconds, where the answer itself names none."""


RefusalOf = Callable[[int, bytes], Refusal | None]
"""Reads an answer by its HTTP status and body; None for success."""


class NothingDone(Exception):
    """The body of a successful answer says that nothing was done."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


class Unintelligible(Exception):
    """The body of a successful answer is not what the gateway documents."""


def unpacked(body: bytes, coding: str, *, most_bytes: int) -> bytes:
    """Unpack a body by its ``Content-Encoding``: we ask for none, but not every server obeys."""
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise Unintelligible("the answer is packed in an unknown way")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip's header or zlib's
    try:
        whole = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        raise Unintelligible("the answer cannot be unpacked") from None
    if len(whole) > most_bytes:
        raise Unintelligible("the answer is too large")
    if not unpacking.eof:
        raise Unintelligible("the answer cannot be unpacked")
    return whole


def retry_after(header: str | None) -> float | None:
    """Read ``Retry-After`` in seconds; the form as a date is ignored, since no clock is at hand."""
    seconds = number(header)
    return None if seconds is None or seconds < 0 else seconds


def decoded(body: bytes, decoder: "msgspec.json.Decoder[Shape]") -> Shape:
    """Read the body of a webhook call, also where it is JSON that only Python's parser takes.

    Raises WebhookTooLarge, or WebhookError if it is not a JSON object.
    """
    refuse_many_values(body)
    try:
        return decoder.decode(body)
    except REFUSALS:
        pass
    try:
        return decoder.decode(strict_json(body))
    except RecursionError:
        raise WebhookError("the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise WebhookError("the body is not a JSON object") from None
    except (msgspec.MsgspecError, ValueError):
        raise WebhookError("the body is not JSON") from None


def given(payload: Mapping[str, Any], names: tuple[str, ...]) -> JsonObject:
    """The fields of an outgoing message that have a value."""
    return {name: payload[name] for name in names if payload.get(name) not in (None, "")}
