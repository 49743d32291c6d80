"""Puts one log event on one line that people can read. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

SYMBOLS = {"debug": "·", "info": "•", "warning": "⚠️", "error": "❌", "critical": "💥"}
"""In front of an event that brings no symbol of its own."""

_COLORS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_RESET = "\x1b[0m"

# Control characters could drive the terminal, bidirectional ones could reorder the line; both can
# come from a customer.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(r"[^\s\"'=\\]+")


def one_line(text: str) -> str:
    """Write ``text`` without line breaks, control characters and lone surrogates."""
    text = text.replace("\r\n", "\n").strip("\n").replace("\n", " ⏎ ").replace("\t", " ")
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def human_line(event: Mapping[str, Any], *, color: bool = False) -> str:
    """Write ``time symbol message name=value …`` for an event whose values are plain.

    ``event`` has ``timestamp`` (a datetime, shown in its own zone), ``level`` and ``event``; the
    other fields follow in their order, an exception last.
    """
    stamp: datetime = event["timestamp"]
    level = str(event["level"])
    symbol = one_line(str(event.get("symbol", SYMBOLS.get(level, "•"))))
    words = [f"{stamp:%H:%M:%S}", symbol, one_line(str(event["event"]))]
    shown_apart = {"timestamp", "level", "symbol", "event", "exception"}
    words += [f"{one_line(k)}={_field(v)}" for k, v in event.items() if k not in shown_apart]
    if "exception" in event:
        words.append(one_line(str(event["exception"])))
    line = " ".join(words)
    return f"{_COLORS[level]}{line}{_RESET}" if color and level in _COLORS else line


def _field(value: object) -> str:
    if isinstance(value, str):
        text = one_line(value)
        return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
    return one_line(json.dumps(value, ensure_ascii=False))
