"""Consent: the notice at the first contact, and the words with which a contact wants to be let be.

Pure. Whoever has opted out gets no message that they have not asked for; what they write is
answered all the same. `daemon.ledger.people` keeps it.
"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from daemon.domain.messages import Choice as Tapped
from daemon.domain.messages import Message, Text

LONGEST_WORDS = 64
"""Characters. Nothing longer is compared: it is a message and no command."""

OUT_ALREADY = "opted out already"
"""Why a message is ignored that says so once more: one confirmation is enough."""

ConsentChoice = Literal["", "out", "in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRules:
    """What the configuration says."""

    notice: str = ""
    """Said to each contact once, before the first answer; empty: nothing is."""
    out_words: frozenset[str] = frozenset()
    """As `plain` writes them."""
    in_words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a burst of messages says about being written to."""

    choice: ConsentChoice = ""
    """The last one counts."""
    alone: bool = False
    """True if it says nothing else, so that there is nothing for the model to answer."""


def plain(text: str) -> str:
    """A text as it is compared: small letters and digits without accents, one space between words.

    Empty for one that is too long.
    """
    if len(text) > LONGEST_WORDS:
        return ""
    letters = unicodedata.normalize("NFD", text.casefold())
    kept = (letter if letter.isalnum() else " " for letter in letters if not _is_accent(letter))
    return " ".join("".join(kept).split())


def plain_words(words: Collection[str]) -> frozenset[str]:
    """The words of the configuration as they are compared."""
    return frozenset(map(plain, words)) - {""}


def wish_of(messages: Sequence[Message], rules: ConsentRules, *, opted_out: bool) -> Wish:
    """What a burst of a private chat says; ``opted_out``: how it is until now.

    Each message is taken as a whole, the words of a button like written ones: a word in the middle
    of a sentence says nothing. Who has not opted out says nothing with the words that undo it.
    """
    choices = [_choice(message, rules, opted_out=opted_out) for message in messages]
    said = [choice for choice in choices if choice]
    return Wish(choice=said[-1] if said else "", alone=bool(choices) and all(choices))


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
