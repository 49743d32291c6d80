"""How the values of an event are said to people, in their language. Pure.

In JSON and in the journal a field is the same word or number in every language, for machines to go
by. The line for people says it: an outcome in words, a number with its noun, a cost if there is
one.
"""

from collections.abc import Callable, Mapping
from typing import Literal

Phrasing = Callable[[Mapping[str, object], Literal["es", "en"]], Mapping[str, object]]
"""Gives those fields of an event that are said otherwise in a language."""

_OUTCOMES = {
    "answered": ("respondido", "answered"),
    "ignored": ("sin respuesta", "not answered"),
    "handed_off": ("en manos de una persona", "left to a person"),
    "expired": ("vencido sin respuesta", "expired without an answer"),
    "dead": ("abandonado sin respuesta", "given up without an answer"),
    "interrupted": ("interrumpido, sigue después", "interrupted, goes on later"),
    "crashed": ("cortado por una falla", "broken off by a fault"),
}
_NOUNS = {
    "messages": (("mensaje", "mensajes"), ("message", "messages")),
    "rounds": (("ronda", "rondas"), ("round", "rounds")),
    "tools": (("función", "funciones"), ("tool", "tools")),
}
_KINDS = {
    "audio": "audio",
    "buttons": "botones",
    "contact": "contacto",
    "contact_list": "contactos",
    "document": "documento",
    "gif": "GIF",
    "interactive": "menú",
    "list": "lista",
    "live_location": "ubicación en vivo",
    "location": "ubicación",
    "order": "pedido",
    "poll": "encuesta",
    "product": "producto",
    "reply": "elección",
    "short": "videomensaje",
    "sticker": "sticker",
    "video": "video",
}
"""WhatsApp's types in Spanish; in English they are words already, but for the underscore."""


def turn_words(fields: Mapping[str, object], language: Literal["es", "en"]) -> Mapping[str, object]:
    """Say how a turn ended and what it took."""
    place = 0 if language == "es" else 1
    said: dict[str, object] = {}
    outcome = str(fields.get("outcome", ""))
    said["outcome"] = _OUTCOMES[outcome][place] if outcome in _OUTCOMES else outcome
    for name, nouns in _NOUNS.items():
        count = fields.get(name, 0)
        said[name] = f"{count} {nouns[place][count != 1]}"
    cost = fields.get("cost")
    spent = f"{cost:.6f}".rstrip("0").rstrip(".") if isinstance(cost, float | int) and cost else ""
    said["cost"] = f", {('costo', 'cost')[place]} {spent}" if spent else ""
    return said


def kind_words(fields: Mapping[str, object], language: Literal["es", "en"]) -> Mapping[str, object]:
    """Say what was received."""
    kind = str(fields.get("kind", ""))
    words = kind.replace("_", " ")
    return {"kind": _KINDS.get(kind, words) if language == "es" else words}
