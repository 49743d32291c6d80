"""The occasions of notifications to operators and agents, and their texts. Pure.

A customer's own words stay in the chat: a notification has only the beginning of a text that may
quote them, and numbers are masked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from daemon.domain.ids import local_part, phone_digits, shown
from daemon.domain.messages import ChatKey
from daemon.domain.redaction import mask_numbers

Reason = Literal["escalation", "waiting", "channel", "budget", "model"]
Language = Literal["es", "en"]

MOST_LINES = 10
"""Occasions that one notification lists; the rest is counted."""

NAME_CHARACTERS = 40
TEXT_CHARACTERS = 160

QUOTED_WORDS = 4
FEW_WORDS = 3
"""This many words in a row count as a quotation of the customer; texts of fewer than `FEW_WORDS`
words are never one."""

TITLES: Mapping[Language, Mapping[Reason, str]] = MappingProxyType(
    {
        "es": MappingProxyType(
            {
                "escalation": "🙋 El bot pasa clientes a una persona",
                "waiting": "⏳ Clientes que esperan a una persona",
                "channel": "🚨 El canal de WhatsApp falla",
                "budget": "🚨 Se agotó el presupuesto del día",
                "model": "🚨 El servidor del modelo rechaza todas las solicitudes",
            }
        ),
        "en": MappingProxyType(
            {
                "escalation": "🙋 The bot hands customers to a person",
                "waiting": "⏳ Customers are waiting for a person",
                "channel": "🚨 The WhatsApp channel is failing",
                "budget": "🚨 Today's budget is used up",
                "model": "🚨 The model server refuses every request",
            }
        ),
    }
)

_WAITING = {"es": "{who}: espera desde {since}", "en": "{who}: waiting since {since}"}
_MORE = {"es": "… y {count} más", "en": "… and {count} more"}
_URGENCY = {
    "es": {"low": "no urge", "normal": "", "high": "urgente"},
    "en": {"low": "not urgent", "normal": "", "high": "urgent"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """One thing to be notified about once."""

    reason: Reason
    subject: str = ""
    """Distinguishes occasions of one reason; empty for a state that lasts for a while."""
    line: str
    """The line of the notification."""
    key: ChatKey | None = None
    """The chat that it is about."""


def escalation(
    turn_id: int,
    key: ChatKey,
    *,
    name: str,
    reason: str,
    summary: str,
    urgency: str,
    inbound: str,
    language: Language,
) -> Occasion:
    """A chat was handed to a person. ``inbound`` is the customer's text: it is not quoted."""
    parts = [text for text in (reason, summary) if text and not _quotes(text, inbound)]
    urgent = _URGENCY[language].get(urgency, "")
    about = "; ".join(filter(None, (*map(shortened, parts), urgent)))
    line = f"{who(name, key)}: {about}" if about else who(name, key)
    return Occasion(reason="escalation", subject=str(turn_id), line=line, key=key)


def waiting(key: ChatKey, *, name: str, since: float, clock: str, language: Language) -> Occasion:
    """A customer has waited for a person for too long; ``clock`` is the time since when."""
    line = _WAITING[language].format(who=who(name, key), since=clock)
    return Occasion(
        reason="waiting", subject=f"{key.number} {key.chat} {since:.3f}", line=line, key=key
    )


def notification(
    reason: Reason, lines: Sequence[str], *, language: Language, link: str
) -> tuple[str, str]:
    """Title and body of the notification about occasions of one reason."""
    body = [f"• {line}" for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        body.append(_MORE[language].format(count=len(lines) - MOST_LINES))
    if link:
        body.append(link)
    return f"Recado: {TITLES[language][reason]}", "\n".join(body)


def _quotes(text: str, inbound: str) -> bool:
    """True if a text has several words in a row of what the customer wrote, or only such words."""
    words, theirs = (re.findall(r"\w+", part.casefold()) for part in (text, inbound))
    length = min(QUOTED_WORDS, len(words))
    runs = {tuple(theirs[n : n + length]) for n in range(len(theirs) - length + 1)}
    places = range(len(words) - length + 1)
    return length >= FEW_WORDS and any(tuple(words[n : n + length]) in runs for n in places)


def who(name: str, key: ChatKey) -> str:
    """A customer's name and masked number."""
    number = mask_numbers(local_part(key.chat))
    short = mask_numbers(" ".join(name.split())[:NAME_CHARACTERS])
    return f"{short} ({number})" if short and short != number else number


def shortened(text: str) -> str:
    """The beginning of a text on one line, numbers masked."""
    line = mask_numbers(" ".join(text.split()))
    return line if len(line) <= TEXT_CHARACTERS else line[: TEXT_CHARACTERS - 1] + "…"


# -- the notice in the agents' chat ----------------------------------------------------------------


SIGNS: Mapping[str, str] = MappingProxyType({"low": "🟢", "normal": "🟡", "high": "🔴"})
"""Signs for how urgent it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRules:
    """The rules for chats that are handed to a person."""

    chat: str = ""
    """Id of the chat in which agents are notified; empty: they are not."""
    label: str = ""
    """Name of the WhatsApp label that the chat gets; empty: none."""
    pause_seconds: float = 3600.0
    """How long the bot is silent in the chat."""


def notice(template: str, *, chat: str, name: str, reason: str, summary: str, urgency: str) -> str:
    """Fill in the notice for the agents. A chat without a phone number is named by its id."""
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
