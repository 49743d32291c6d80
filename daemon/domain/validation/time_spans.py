"""How long it is from one date, weekday or hour to the next that a text names.

Pure. Spanish and English: ``del 12 al 15``, ``from Friday to Sunday``, ``8 a 10 pm``,
``2026-08-01``, ``28 de diciembre``. The text is without accents and in lower case.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

MOST_DATES = 40
"""Of one text."""

BOTH_ENDS = "days, both ends"
"""The unit of days that are counted with the last: nights are one less."""

LONGEST_STAY = 200

Span = tuple[float, str]
"""How many of which unit; the unit is empty for the ends of a range."""

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
    """What passes between the dates, weekdays and hours of a text."""
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
