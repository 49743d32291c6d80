"""Consent: the notice at the first contact, and the words that opt out and in. Pure.

A contact who has opted out gets no message that they have not asked for; what they write is still
answered. `daemon.ledger.people` stores the choice.
"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from daemon.domain.messages import Choice as Tapped
from daemon.domain.messages import Message, Text

LONGEST_WORDS = 64
"""Characters. A longer message is not compared: it is no command."""

OUT_ALREADY = "opted out already"
"""The reason of a repeated opt-out, which is ignored: one confirmation is enough."""

ConsentChoice = Literal["", "out", "in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRules:
    """The configured notice and words."""

    notice: str = ""
    """Sent to each contact once, before the first answer; empty: not sent."""
    out_words: frozenset[str] = frozenset()
    """In the form that `plain` gives."""
    in_words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a burst of messages asks for."""

    choice: ConsentChoice = ""
    """The last one of the burst."""
    alone: bool = False
    """True if the burst has nothing else, so that there is nothing for the model to answer."""


def plain(text: str) -> str:
    """The form of a text for comparing: lower case, no accents or signs, single spaces.

    Empty if the text is too long.
    """
    if len(text) > LONGEST_WORDS:
        return ""
    letters = unicodedata.normalize("NFD", text.casefold())
    kept = (letter if letter.isalnum() else " " for letter in letters if not _is_accent(letter))
    return " ".join("".join(kept).split())


def plain_words(words: Collection[str]) -> frozenset[str]:
    """The configured words in the form for comparing."""
    return frozenset(map(plain, words)) - {""}


def wish_of(messages: Sequence[Message], rules: ConsentRules, *, opted_out: bool) -> Wish:
    """What a burst of a private chat asks for; ``opted_out`` is the present choice.

    Each message is compared as a whole, the title of a button like written words: a word inside a
    sentence does not count. Opt-in words count only after an opt-out.
    """
    choices = [_choice(message, rules, opted_out=opted_out) for message in messages]
    made = [choice for choice in choices if choice]
    return Wish(choice=made[-1] if made else "", alone=bool(choices) and all(choices))


def _choice(message: Message, rules: ConsentRules, *, opted_out: bool) -> ConsentChoice:
    content = message.content
    if message.is_group or not isinstance(content, Text | Tapped):
        return ""
    words = plain(content.body if isinstance(content, Text) else content.title)
    if words in rules.out_words:
        return "out"
    return "in" if opted_out and words in rules.in_words else ""


def _is_accent(letter: str) -> bool:
    return unicodedata.category(letter) == "Mn"
