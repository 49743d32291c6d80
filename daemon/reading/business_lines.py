"""The types of message that are Whapi's alone, as lines to be read: orders, invitations, menus.

Pure. Their objects are kept as they came (`daemon.model.Other`), since little is documented of
them (Whapi's OpenAPI document 1.8.7); so everything is looked for, and what is not there is left
out of the line.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from daemon.model import Other

MOST_OPTIONS = 20
"""Of a menu: more than WhatsApp shows on one."""

MOST_CHARACTERS = 1000

_NAMES = {
    "order": "order",
    "product": "product",
    "catalog": "catalog",
    "event": "event",
    "group_invite": "invitation to a group",
    "newsletter_invite": "invitation to a channel",
    "admin_invite": "invitation to be an administrator",
    "interactive": "menu",
    "buttons": "menu",
    "list": "menu",
    "carousel": "menu",
    "hsm": "menu",
}
_FACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "order": (("order_id", "number {}"), ("item_count", "{} items"), ("total_price", "total {}")),
    "product": (("product_id", "number {}"), ("price", "price {}")),
    "catalog": (("catalog_id", "number {}"),),
}
"""By type: which numbers a person would want to read, and how."""

_OPTION_KEYS = ("buttons", "rows", "sections", "cards", "action", "list")
_LINK_KEYS = ("url", "link", "invite_link", "join_link")


def line_of(kind: str, other: Other) -> str:
    """One message of Whapi's type ``kind`` as the model reads it; other types by their words."""
    name = _NAMES.get(kind)
    if name is None:
        return other.body.strip()
    raw = other.raw
    head = ", ".join((name, *_facts(kind, raw)))
    titles = (_text(raw, "title") or _text(raw, "name"), other.body.strip())
    words = [word for word in dict.fromkeys((*titles, _text(raw, "description"))) if word]
    if kind == "event" and (start := _moment(raw)):
        words.append(start)
    words += [link for key in _LINK_KEYS if (link := _text(raw, key))][:1]
    if options := list(dict.fromkeys(_options(raw)))[:MOST_OPTIONS]:
        words.append(f"({' / '.join(options)})")
    return f"[{head}] {' '.join(words)}".strip()[:MOST_CHARACTERS]


def _facts(kind: str, raw: Mapping[str, Any]) -> Iterator[str]:
    currency = _text(raw, "currency")
    for key, words in _FACTS.get(kind, ()):
        value = _text(raw, key)
        if value:
            money = f" {currency}" if currency and "price" in key else ""
            yield words.format(value) + money


def _options(value: object, depth: int = 5) -> Iterator[str]:
    """The words of what a menu offers, wherever in it they are."""
    if depth == 0:
        return
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, Mapping):
                title = _text(entry, "title") or _text(entry, "text")
                nested = list(_options(entry, depth - 1))
                yield from nested or ([title] if title else [])
    elif isinstance(value, Mapping):
        for key in _OPTION_KEYS:
            yield from _options(value.get(key), depth - 1)


def _moment(raw: Mapping[str, Any]) -> str:
    """When an event begins."""
    start = raw.get("start") or raw.get("start_time")
    if isinstance(start, bool) or not isinstance(start, int | float):
        return ""
    try:
        moment = datetime.fromtimestamp(start / 1000 if start > 1e11 else start, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"(begins {moment:%Y-%m-%d %H:%M} UTC)"


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()
