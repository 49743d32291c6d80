"""Words that people look for in all chats. Pure.

Accents and case make no difference, nor does the order of the words; the last one may be the
beginning of a word, since a search runs while it is being typed.
"""

import hashlib
import unicodedata
from dataclasses import dataclass

from daemon.domain.knowledge.words import WORD, folded, words_of

LONGEST_TEXT = 20_000
"""Characters of a message that are searched: a document's text may be longer."""

MOST_WORDS = 12
"""Of a search; further ones are left out."""

BEFORE, AFTER = 40, 120
"""Characters around the first word that was found, in a snippet."""


@dataclass(frozen=True, slots=True)
class SoughtWords:
    """What a message has to have: all of these words, and one that begins so."""

    whole: tuple[str, ...] = ()
    beginning: str = ""
    """Empty only if nothing is looked for."""

    def has(self, word: str) -> bool:
        """Whether a folded word is one of them."""
        return word in self.whole or (self.beginning != "" and word.startswith(self.beginning))


@dataclass(frozen=True, slots=True)
class SnippetPart:
    """A part of a snippet; what was looked for is marked."""

    text: str
    marked: bool = False


def sought_words(query: str) -> SoughtWords:
    """The words of a search, as people type it."""
    words = list(dict.fromkeys(words_of(query)))[:MOST_WORDS]
    return SoughtWords(tuple(words[:-1]), words[-1]) if words else SoughtWords()


def search_terms(text: str) -> list[str]:
    """The words by which a text is found, each once."""
    return list(dict.fromkeys(words_of(text[:LONGEST_TEXT])))


def place_term(kind: str, *names: str) -> str:
    """The term of a place, such as a chat. No text has it, since no word has a ``=``."""
    digest = hashlib.blake2b("/".join(names).encode(), digest_size=8).hexdigest()
    return f"={kind}{digest}"


def snippet(text: str, sought: SoughtWords) -> tuple[SnippetPart, ...]:
    """The part of a text around the first word that was found, in one line."""
    text = " ".join(unicodedata.normalize("NFC", text[:LONGEST_TEXT]).split())
    found = [match.span() for match in WORD.finditer(text) if sought.has(folded(match[0]))]
    first = found[0][0] if found else 0
    start = max(0, first - BEFORE)
    if start:
        start = text.find(" ", start, first) + 1 or first
    end = min(len(text), first + AFTER)
    parts = [SnippetPart("…")] if start else []
    at = start
    for begin, stop in found:
        if begin >= end:
            break
        parts += [SnippetPart(text[at:begin]), SnippetPart(text[begin:stop], marked=True)]
        at = stop
    parts += [SnippetPart(text[at:end]), SnippetPart("…" if end < len(text) else "")]
    return tuple(part for part in parts if part.text)
