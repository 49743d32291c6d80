"""One element of a webhook call, decoded by itself, so that its faults cost nothing else."""

from functools import lru_cache
from typing import TypeVar

import msgspec

from daemon.whapi.fields import strict_json

Shape = TypeVar("Shape")

LONGEST_INDENT = 64
REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it will not decode."""


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
    """Give the text that an element is; empty if it is none."""
    try:
        return _strings.decode(raw)
    except REFUSALS:
        return ""
