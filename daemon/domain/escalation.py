"""Handing a chat to a person: how that goes, and the words for the agents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from daemon.domain.ids import phone_digits, shown

SIGNS: Mapping[str, str] = MappingProxyType({"low": "🟢", "normal": "🟡", "high": "🔴"})
"""How urgent it is, at a glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRules:
    """What happens when a chat is handed to a person."""

    chat: str = ""
    """Chat id in which the agents are told; empty: they are not told."""
    label: str = ""
    """Name of the WhatsApp label that the chat gets; empty: none."""
    pause_seconds: float = 3600.0
    """How long the bot leaves the chat alone."""


def notice(template: str, *, chat: str, name: str, reason: str, summary: str, urgency: str) -> str:
    """Fill in what the agents are told. A chat without a phone number is named by its id."""
    number = phone_digits(chat)
    fields = {
        "urgency": SIGNS.get(urgency, urgency),
        "name": name or chat,
        "reason": reason,
        "summary": summary,
        "chat": shown(chat),
        "link": f"https://wa.me/{number}" if number else "",
    }
    # In one pass, and not by str.format: names and summaries may hold braces.
    filled = re.sub(r"\{(\w+)\}", lambda m: fields.get(m[1], m[0]), template)
    return "\n".join(line.rstrip() for line in filled.splitlines()).strip()
