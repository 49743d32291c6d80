"""Names that Whapi gives to events and labels. Pure."""

from functools import lru_cache

from daemon.gateway.payloads.fields import text

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


def label_names(value: object) -> tuple[str, ...]:
    """Give the names of a list of labels, or their ids where they have none."""
    if not isinstance(value, list):
        return ()
    labels = (item for item in value if isinstance(item, dict))
    return tuple(
        name for item in labels if (name := text(item.get("name")) or text(item.get("id")))
    )
