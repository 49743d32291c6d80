"""The texts that people edit in the dashboard: which there are, and what each may hold. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Literal, NamedTuple

INSTRUCTIONS = "instructions"
"""What the model is to do: the developer's part of each prompt."""
CONSENT = "consent_notice"
CANDIDATE = "candidate"
"""Instructions that are tried before they are for all."""

TO_CUSTOMERS = (
    "apology",
    "unclear",
    "expired",
    "too_long",
    "budget",
    "overdue",
    "closed",
    "call",
    "opted_out",
    "opted_in",
    CONSENT,
    "document",
    "document_name",
)
TO_TEAM = ("escalation", "agent_note")

NAMES = (INSTRUCTIONS, *TO_CUSTOMERS, *TO_TEAM)
"""All of them, in the order in which they are shown."""

PLACEHOLDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "closed": ("opens",),
        "opted_out": ("word",),
        "escalation": ("urgency", "name", "chat", "reason", "summary", "link"),
        "agent_note": ("name",),
    }
)
"""What is filled into a text where it stands in braces."""

MOST_CHARACTERS = 4096
"""Of a text: one WhatsApp message."""
MOST_INSTRUCTIONS = 256_000
"""Characters of instructions: the limit of the Assistants API."""
MOST_NAME = 60
"""Of a file's name."""
MOST_LINES = 4000
"""Of texts that are compared line by line."""

_BRACES = re.compile(r"\{(\w+)\}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NO_NAME = re.compile(r"[/\\\n\t]")

EXAMPLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "es": {
            "opens": "mañana a las 8:00",
            "urgency": "🔴",
            "name": "Laura",
            "chat": "573001234567",
            "reason": "quiere pagar con tarjeta",
            "summary": "reservó dos noches desde el viernes",
            "link": "https://wa.me/573001234567",
        },
        "en": {
            "opens": "tomorrow at 8:00",
            "urgency": "🔴",
            "name": "Laura",
            "chat": "573001234567",
            "reason": "wants to pay by card",
            "summary": "has booked two nights from Friday on",
            "link": "https://wa.me/573001234567",
        },
    }
)
"""What placeholders may stand for, in a preview; the word for opting in is the configured one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextVersion:
    """One saved version of a text."""

    number: str
    name: str
    revision: int
    """Counted from 1."""
    text: str | None
    """None: from then on the file's text was at work again."""
    digest: str
    """The hash of the text; empty without one."""
    file_digest: str
    """The hash of the file's text at that time."""
    author: str
    saved_at: float
    """Unix seconds."""
    share: float | None = None
    """Of a candidate: the share of the chats that it answers; 0: it answers beside the others."""


class LineChange(NamedTuple):
    """A line of a comparison."""

    kind: Literal["same", "removed", "added"]
    text: str


def plain(text: str) -> str:
    """A text as it is stored, like the file's: line breaks of one kind, no blanks around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def fault_of(name: str, text: str) -> str:
    """What is wrong with a text, in words that the pages translate; empty if nothing is."""
    is_for_model = name in {INSTRUCTIONS, CANDIDATE}
    most = MOST_INSTRUCTIONS if is_for_model else MOST_CHARACTERS
    if not text:
        return "the text is empty"
    if len(text) > most:
        return "the text is too long"
    if _CONTROL.search(text):
        return "the text has a control character"
    if name == "document_name" and (len(text) > MOST_NAME or _NO_NAME.search(text)):
        return "a file's name has at most 60 characters, and no / or line break"
    for found in () if is_for_model else _BRACES.findall(text):
        if found not in PLACEHOLDERS.get(name, ()):
            return f"nothing is filled in for a word in braces: {{{found}}}"
    return ""


def example_of(name: str, text: str, language: str, *, word: str) -> str:
    """A text as its readers get it, with examples in place of what is filled in.

    ``word``: the configured word that opts in again.
    """
    values = {**EXAMPLES[language], "word": word}
    known = PLACEHOLDERS.get(name, ())
    return _BRACES.sub(lambda found: values[found[1]] if found[1] in known else found[0], text)


def compared(before: str, after: str) -> list[LineChange]:
    """Compare two texts line by line. Very long ones count as different throughout."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > MOST_LINES:
        return [
            *(LineChange("removed", line) for line in old),
            *(LineChange("added", line) for line in new),
        ]
    lines: list[LineChange] = []
    for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [LineChange("same", line) for line in old[i:j]]
        else:
            lines += [LineChange("removed", line) for line in old[i:j]]
            lines += [LineChange("added", line) for line in new[k:m]]
    return lines
