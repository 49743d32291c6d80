"""Numbers and periods in words, Spanish and English. Pure.

``quince``, ``treinta y cinco``, ``two thousand``; ``del 12 al 15``, ``from Friday to Sunday``,
``8 a 10 pm``, ``2026-08-01``. Texts come without accents and in lower case; see
`daemon.domain.validation.figures.plain`.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from daemon.domain.validation.figures import plain

MOST_WORDS = 4_000
"""Of one text; later words are ignored."""

WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+|¤")
"""A number, a word, or the mark of a figure that counts nothing."""

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
_TENS = dict(
    zip(
        (
            *("treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"),
            *("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
        ),
        (*range(30, 100, 10), *range(20, 100, 10)),
        strict=True,
    )
)
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


# -- time from one date, weekday or hour to the next -----------------------------------------------


MOST_DATES = 40
"""Of one text; later ones are ignored."""

BOTH_ENDS = "days, both ends"
"""The unit of days counted with the last one; nights are one fewer."""

LONGEST_STAY = 200

Span = tuple[float, str]
"""A count and its unit; the unit is empty for the ends of a range."""

_MONTHS = {
    name: month
    for month, names in enumerate(
        (
            "enero january jan ene",
            "febrero february feb",
            "marzo march mar",
            "abril april apr abr",
            "mayo may",
            "junio june jun",
            "julio july jul",
            "agosto august aug ago",
            "septiembre setiembre september sept sep",
            "octubre october oct",
            "noviembre november nov",
            "diciembre december dec dic",
        ),
        1,
    )
    for name in names.split()
}
_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_WEEKDAYS = {
    name: day
    for day, names in enumerate(
        (
            "lunes monday mon",
            "martes tuesday tue",
            "miercoles wednesday wed",
            "jueves thursday thu",
            "viernes friday fri",
            "sabado saturday sat",
            "domingo sunday sun",
        )
    )
    for name in names.split()
}
_NAME_OF_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})|\b([0-9]{{1,2}})/([0-9]{{1,2}})(?:/[0-9]{{2,4}})?\b"
    rf"|\b([0-9]{{1,2}})(?:st|nd|rd|th)?\s(?:de\s|of\s)?({_NAME_OF_MONTH})\b"
    rf"|\b({_NAME_OF_MONTH})\.?\s([0-9]{{1,2}})(?:st|nd|rd|th)?\b"
)
_RANGE = re.compile(
    r"(?<![0-9.,:/$€£-])\b([0-9]{1,2})(?::([0-9]{2}))?(?:st|nd|rd|th)?\s?(?:am|pm|h)?\s?"
    r"(?:-|\u2013|al?|hasta(?:\sel|\slas)?|to|till|until|through|u|o|or)"
    r"\s?(?:el\s|las\s|the\s)?([0-9]{1,2})(?::([0-9]{2}))?(?![0-9.,]*[0-9]|[/:-])"
)
_WEEKDAY_RANGE = re.compile(
    r"\b({0})\b\s?(?:-|\u2013|al?|hasta(?:\sel)?|to|till|until|through)\s?(?:el\s)?\b({0})\b".format(
        "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
    )
)


def time_spans(bare: str) -> Iterator[Span]:
    """The time between the dates, weekdays and hours of a text."""
    dates = [date for match in _DATE.finditer(bare) if (date := _day_of_year(match)) is not None]
    for first, last in pairwise(dates[:MOST_DATES]):
        yield from _stay((last - first) % 365, longest=LONGEST_STAY)
    for match in _WEEKDAY_RANGE.finditer(bare):
        yield from _stay((_WEEKDAYS[match[2]] - _WEEKDAYS[match[1]]) % 7, longest=7)
    for match in _RANGE.finditer(bare):
        begin, end = (int(match[n]) + int(match[n + 1] or 0) / 60 for n in (1, 3))
        if match[2] or match[4]:
            yield (end - begin) % 12, "hour"
        else:
            yield from _stay(end - begin, longest=31)
            yield (end - begin) % 12, "hour"
            yield from ((begin, ""), (end, ""))


def _stay(days: float, *, longest: int) -> Iterator[Span]:
    """Nights, and days with both ends."""
    if 0 < days <= longest:
        yield days, "day"
        yield days + 1, BOTH_ENDS


def _day_of_year(match: re.Match[str]) -> int | None:
    year, month, day, day_first, month_last, day_named, named, named_first, day_last = (
        match.groups()
    )
    if year:
        number, at = int(month), int(day)
    elif day_first:
        number, at = int(month_last), int(day_first)
        if number > 12:
            number, at = at, number
    else:
        number, at = _MONTHS[named or named_first], int(day_named or day_last)
    if not 1 <= number <= 12 or not 1 <= at <= 31:
        return None
    return _DAYS_BEFORE[number - 1] + at
