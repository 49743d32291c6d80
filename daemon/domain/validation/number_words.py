"""Numbers in words, Spanish and English: ``quince``, ``treinta y cinco``, ``two thousand``.

Pure. The words are without accents and in lower case; see
`daemon.domain.validation.data_keys.plain`.
"""

import re
from collections.abc import Iterator

from daemon.domain.validation.data_keys import plain

MOST_WORDS = 4_000
"""Of one text; what comes after them is not read."""

WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+|¤")
"""A number, a word, or what stands for a figure that counts nothing."""

_ONES = "un uno una a an one cada"
_SMALL = {
    **dict.fromkeys(_ONES.split(), 1),
    **{
        word: value
        for value, words in enumerate(
            (
                *("dos two", "tres three", "cuatro four", "cinco five", "seis six", "siete seven"),
                *("ocho eight", "nueve nine", "diez ten", "once eleven", "doce twelve"),
                *("trece thirteen", "catorce fourteen", "quince fifteen", "dieciseis sixteen"),
                *("diecisiete seventeen", "dieciocho eighteen", "diecinueve nineteen"),
                *("veinte twenty", "veintiuno veintiun", "veintidos", "veintitres"),
                *("veinticuatro", "veinticinco", "veintiseis", "veintisiete", "veintiocho"),
                "veintinueve",
            ),
            2,
        )
        for word in words.split()
    },
}
_TENS = {
    "treinta": 30,
    "cuarenta": 40,
    "cincuenta": 50,
    "sesenta": 60,
    "setenta": 70,
    "ochenta": 80,
    "noventa": 90,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_HUNDREDS = {
    "cien": 100,
    "ciento": 100,
    "doscientos": 200,
    "doscientas": 200,
    "trescientos": 300,
    "trescientas": 300,
    "cuatrocientos": 400,
    "cuatrocientas": 400,
    "quinientos": 500,
    "quinientas": 500,
    "seiscientos": 600,
    "seiscientas": 600,
    "setecientos": 700,
    "ochocientos": 800,
    "novecientos": 900,
    "hundred": 100,
}
_THOUSANDS = {"mil": 1e3, "thousand": 1e3, "millon": 1e6, "millones": 1e6, "million": 1e6}
HALVES = frozenset({"medio", "media", "half", "mitad"})
JOINING = frozenset({"y", "and"})


def words_of(bare: str) -> list[str]:
    """The words of a text, at most `MOST_WORDS`."""
    return WORD.findall(bare)[:MOST_WORDS]


def numbers_in(words: list[str]) -> Iterator[tuple[float, int]]:
    """Numbers in words, each with the place of the word after it."""
    at = 0
    while at < len(words):
        value, after = number_at(words, at)
        if after > at:
            yield value, after
            at = after
        else:
            at += 1


def number_at(words: list[str], at: int) -> tuple[float, int]:
    """The number that begins at a word, in digits or words; its place itself if there is none."""
    total, start = 0.0, at
    while at < len(words):
        word = words[at]
        if word in _THOUSANDS and (total or word in {"mil", "thousand"}):
            total = (total or 1) * _THOUSANDS[word]
            if words[at + 1 : at + 3] in (["y", "medio"], ["y", "media"]):
                total += _THOUSANDS[word] / 2
                at += 2
        elif word in _HUNDREDS and total % 1000 < 10:
            total = total * 100 if word == "hundred" and total else total + _HUNDREDS[word]
        elif word in _TENS and total % 100 == 0:
            total += _TENS[word]
        elif (
            word in _SMALL and total % 10 == 0 and (total == 0 or total % 100 >= 20 or total >= 100)
        ):
            total += _SMALL[word]
        elif word in JOINING and total >= 30 and words[at + 1 : at + 2] and _adds(words[at + 1]):
            pass
        elif total == 0 and word[0].isdecimal() and len(word) <= 6:
            if words[at + 1 : at + 2] and words[at + 1] in _THOUSANDS:
                total = _decimal(word)
            else:
                return _decimal(word), at + 1
        else:
            break
        at += 1
    return total, at if total or at == start else start


def _adds(word: str) -> bool:
    return (word in _SMALL and word not in {"a", "an", "un", "una", "one", "cada"}) or word == "uno"


def _decimal(word: str) -> float:
    digits = word.replace(",", ".")
    return float(digits) if digits.count(".") <= 1 else 0.0


def spoken_amounts(text: str) -> set[float]:
    """Sums of money in words: ``cien mil``, ``two thousand``."""
    words = words_of(plain(text))
    return {
        float(count)
        for count, after in numbers_in(words)
        if count >= 1000 and not words[after - 1][0].isdigit()
    }
