"""Which answers are fit to be spoken, and how they are cut into voice notes.

Pure. Spoken are words; what has to be read again, copied, tapped or compared is written: prices,
numbers that matter, links, codes, addresses, lists and tables.
"""

import re
import unicodedata

MAX_INPUT = 4096
"""Characters that a speech model takes at once (OpenAI, ``/audio/speech``)."""

MAX_PARTS = 7
"""More voice notes than these nobody hears to the end (the replaced system's value)."""

MAX_LIST_ITEMS = 2
"""Lists longer than this are written."""

_LINK = re.compile(
    r"https?://|www\.|\bwa\.me/|@\w|(?<![\w-])[\w-]++\.(?:com|co|net|org|io|me|app|info|es|mx)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"[$€£¥₡₲₱]|\d\s*+%|\b(?:usd|eur|cop|mxn|clp|ars|pen)\b|\d[.,]*+\s*+"
    r"(?:mil|millón|millon|millones|pesos?|d[óo]lar(?:es)?|euros?|soles|dollars?|bucks)\b",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"\d(?:[\s().,-]?\d){3,}")
"""Four digits or more, as in amounts, phone numbers and bookings."""

_YEAR = re.compile(r"(?<![\d.,-])(?:19|20)\d\d(?![\d.,-]*\d)")
_TIME = re.compile(r"\b\d{1,2}:\d\d\b")
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[^\W\d_])[\w-]{3,}|`|(?<!\w)[A-Z]{2,}-\w")
"""Letters and digits in one word (``A1B2``), or something marked as code."""

_UNIT = re.compile(r"\b\d+(?:am|pm|hs?|hrs?|kms?|kg|min|st|nd|rd|th|er|do|ra|a|o)\b", re.IGNORECASE)
"""What reads as a word with its number: ``3pm``, ``2do``."""
_LIST_ITEM = re.compile(r"^[ \t]*(?:[•*\-\u2013]|\d{1,2}[.)])\s+", re.MULTILINE)
_TABLE = re.compile(r"^[^\n|]*\|[^\n|]*\|", re.MULTILINE)
_MARKS = re.compile(r"(?<![^\W_])[*_~]+|[*_~]+(?![^\W_])|^>\s*", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?…])[\"»”)]*\s+|\n+")


def is_fit(text: str) -> bool:
    """True if an answer may be spoken in place of being written."""
    if len(text) > MAX_PARTS * MAX_INPUT:
        return False
    plain = _TIME.sub(" ", _YEAR.sub(" ", text))
    plain = _UNIT.sub(" ", plain)
    for sign in (_LINK, _MONEY, _LONG_NUMBER, _CODE, _TABLE):
        if sign.search(plain):
            return False
    if len(_LIST_ITEM.findall(text)) > MAX_LIST_ITEMS:
        return False
    return _has_words(text)


def spoken_words(text: str) -> str:
    """The words as a voice says them: no emoji, no marks of formatting, no list signs."""
    bare = _MARKS.sub("", _LIST_ITEM.sub("", text))
    kept = (c for c in bare if not _is_pictured(c))
    lines = (" ".join(line.split()) for line in "".join(kept).splitlines())
    return "\n".join(line for line in lines if line)[:MAX_INPUT]


def spoken_parts(text: str, *, most: int) -> list[str]:
    """Cut an answer into voice notes of at most ``most`` characters, between sentences.

    As few as there can be; empty if it is too long for `MAX_PARTS` of them, or would have to be
    cut inside a sentence: then it is better written. The parts keep their formatting, since what
    cannot be spoken in the end is sent as it is.
    """
    text = text.strip()
    parts: list[str] = []
    start = last = 0
    for end in (*(found.end() for found in _SENTENCE.finditer(text)), len(text)):
        if len(text[start:end].strip()) > most:
            parts.append(text[start:last].strip())
            start = last
        if len(text[start:end].strip()) > most:
            return []
        last = end
    parts.append(text[start:].strip())
    if len(parts) > MAX_PARTS or not all(map(_has_words, parts)):
        return []
    return parts


def _has_words(text: str) -> bool:
    return any(map(str.isalpha, spoken_words(text)))


def _is_pictured(character: str) -> bool:
    """True for emoji, arrows and other signs, and for what joins and colours emoji."""
    return character in "\ufe0f\ufe0e\u200d\u20e3" or unicodedata.category(character) in {
        "So",
        "Sk",
        "Cs",
        "Co",
        "Cn",
    }
