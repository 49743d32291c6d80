"""The quantities of a text: how many of what, which shares, and how long from one date to another.

Pure. Digits and words, Spanish and English: ``3 noches``, ``quince días``, ``half a year``,
``del 12 al 15``, ``from Friday to Sunday``, ``"nights": 3``, ``15 %``, ``la mitad``.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from daemon.validation.figures import Figure, is_count_key, is_percent_key, is_price_key, plain

MOST = 40
"""Quantities of one text that are heeded, the first ones."""

PER = "per"
"""The unit of how many a price is for: ``"price_per_100": 22000``."""

LARGEST = 10_000
"""A larger number is no count."""

_UNITS = {
    "day": "dia dias noche noches day days night nights nochecita",
    "month": "mes meses month months mensualidad mensualidades",
    "person": "persona personas people person persons adulto adultos adult adults guest guests"
    " huesped huespedes pax invitado invitados comensal comensales asistentes",
    "child": "nino ninos nina ninas kid kids child children hijos hijas menores",
    "hour": "hora horas hour hours hr hrs h",
    "week": "semana semanas week weeks",
    "session": "sesion sesiones session sessions clase clases class classes leccion lecciones"
    " lesson lessons",
    "instalment": "cuota cuotas pago pagos instalment instalments installment installments payment"
    " payments",
    "piece": "unidad unidades unit units pieza piezas piece pieces",
    "kg": "kg kilo kilos kgs",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}

_PEOPLE = frozenset({"person", "child"})

_CONVERSIONS: dict[str, tuple[tuple[float, str], ...]] = {
    "week": ((7, "day"), (1, "week")),
    "month": ((30, "day"), (1, "month"), (4, "week")),
    **dict.fromkeys(("quincena", "quincenas"), ((15, "day"),)),
    **dict.fromkeys(("fortnight", "fortnights"), ((14, "day"), (2, "week"))),
    **dict.fromkeys(("bimestre", "bimestres"), ((2, "month"),)),
    **dict.fromkeys(("trimestre", "trimestres", "quarter", "quarters"), ((3, "month"),)),
    **dict.fromkeys(("semestre", "semestres"), ((6, "month"),)),
    **dict.fromkeys(("ano", "anos", "year", "years"), ((12, "month"), (52, "week"), (1, "year"))),
    **dict.fromkeys(("docena", "docenas", "dozen", "dozens"), ((12, "piece"), (1, "dozen"))),
    **dict.fromkeys(("decena", "decenas"), ((10, "piece"),)),
    **dict.fromkeys(
        ("minuto", "minutos", "minute", "minutes", "min", "mins"), ((1 / 60, "hour"), (1, "minute"))
    ),
    **dict.fromkeys(("g", "gr", "grs", "gramos", "grams"), ((1 / 1000, "kg"), (1, "gram"))),
    **dict.fromkeys(("ml", "cc"), ((1 / 1000, "litre"),)),
}
_BARE: dict[str, tuple[tuple[float, str], ...]] = {
    **dict.fromkeys(("anual", "anuales", "yearly", "annual", "annually"), ((12, "month"),)),
    **dict.fromkeys(("trimestral", "quarterly"), ((3, "month"),)),
    **dict.fromkeys(("semestral",), ((6, "month"),)),
    **dict.fromkeys(("biweekly", "quincenal", "fortnightly"), ((2, "month"), (26, "year"))),
    **dict.fromkeys(("pareja", "couple", "par", "pair", "both", "ambos", "ambas"), ((2, ""),)),
    **dict.fromkeys(("weekend", "weekends"), ((2, "day"), (3, "day"))),
}
_CONVERTED = {
    word: values
    for name, values in _CONVERSIONS.items()
    for word in (_UNITS[name].split() if name in _UNITS else (name,))
}

_ONES = "un uno una a an one cada"
_SMALL = {
    **dict.fromkeys(_ONES.split(), 1),
    **{
        word: value
        for value, words in enumerate(
            (
                "dos two,tres three,cuatro four,cinco five,seis six,siete seven,ocho eight"
                ",nueve nine,diez ten,once eleven,doce twelve,trece thirteen,catorce fourteen"
                ",quince fifteen,dieciseis sixteen,diecisiete seventeen,dieciocho eighteen"
                ",diecinueve nineteen,veinte twenty,veintiuno veintiun,veintidos,veintitres"
                ",veinticuatro,veinticinco,veintiseis,veintisiete,veintiocho,veintinueve"
            ).split(","),
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
_HALVES = frozenset("medio media half mitad".split())
_SHARES = {
    **dict.fromkeys(("mitad", "half", "medio", "media"), 0.5),
    **dict.fromkeys(("tercio", "tercera", "third"), 1 / 3),
    **dict.fromkeys(("cuarta", "quarter"), 0.25),
}
_FRACTIONS = {"½": " y media ", "1/2": " media ", "¼": " un cuarto "}
_JOINING = frozenset("y and".split())
_OR = frozenset("o u y a or and to".split())
_SKIPPED = frozenset("de of a una un noches-".split())

_WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+|¤")

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


@dataclass(frozen=True, slots=True)
class Quantity:
    """How many of what. ``unit`` is empty where that is not said."""

    count: float
    unit: str = ""


def quantities(text: str, found: Sequence[Figure]) -> list[Quantity]:
    """What a text counts; ``found`` are its figures. At most `MOST`."""
    kept: dict[Quantity, None] = {}
    for quantity in (*_spoken(_counting(text, found)), *_spans(plain(text)), *_named(found)):
        if 0 < quantity.count <= LARGEST and len(kept) < MOST:
            kept[quantity] = None
    return [*kept, *_parties(plain(text), kept)]


def shares(text: str, found: Sequence[Figure]) -> set[float]:
    """The shares of a whole that a text names: percentages, a half, a third."""
    parts = {figure.value / 100 for figure in found if figure.role == "percent"}
    for figure in found:
        if figure.key and figure.role in {"plain", "grouped"} and is_percent_key(figure.key):
            parts.add(figure.value if figure.value < 1 else figure.value / 100)
        if figure.key.endswith(("per_100", "por_100")):
            parts.add(figure.value / 100)
    words = set(_WORD.findall(plain(text)))
    parts |= {share for word, share in _SHARES.items() if word in words}
    return {part for part in parts if 0 < part <= 1}


def is_of_rate(quantity: Quantity, among: Collection[Quantity]) -> bool:
    """Whether it may only come from words such as ``a month``, which ask for nothing."""
    longer = {
        (30, "day"): "month",
        (4, "week"): "month",
        (12, "month"): "year",
        (52, "week"): "year",
    }
    name = longer.get((int(quantity.count), quantity.unit))
    return name is not None and Quantity(1, name) in among


def is_unit(text: str, end: int) -> bool:
    """Whether what stands after a figure is something that is counted."""
    word = _WORD.search(plain(text[end : end + 24]))
    return word is not None and (word[0] in _UNIT_OF or word[0] in _CONVERTED)


def spoken_amounts(text: str) -> set[float]:
    """Sums of money in words: ``cien mil``, ``two thousand``."""
    return {count * 1.0 for count, _ in _numbers(_words(plain(text))) if count >= 1000}


_ROUND_TRIP = re.compile(r"ida y (?:vuelta|regreso)|round[ -]trip|both ways|return trip")
_WITH_ME = re.compile(r"\by yo\b|\bme and\b|\band (?:me|i|myself)\b|\bplus me\b")


def _parties(bare: str, counted: Collection[Quantity]) -> Iterator[Quantity]:
    """How many people there are together, and how many ways."""
    if _ROUND_TRIP.search(bare):
        yield Quantity(2, "way")
    groups = {q.unit: q.count for q in counted if q.unit in _PEOPLE}
    together = sum(groups.values())
    if len(groups) > 1:
        yield Quantity(together, "people together")
    if _WITH_ME.search(bare):
        yield from (Quantity(q.count + 1, "people together") for q in counted if q.count < 20)


def _counting(text: str, found: Sequence[Figure]) -> str:
    """A text in which only those figures are left that may count something."""
    pieces, at = [], 0
    for figure in found:
        pieces.append(text[at : figure.start])
        if figure.role == "plain" and not is_price_key(figure.key):
            pieces.append(figure.written)
        elif figure.role == "counted":
            pieces.append(f"{figure.value:.0f}")
        else:
            pieces.append("¤")
        at = max(at, figure.end)
    counting = "".join((*pieces, text[at:]))
    for sign, words in _FRACTIONS.items():
        counting = counting.replace(sign, words)
    return plain(counting)


def _words(bare: str) -> list[str]:
    return _WORD.findall(bare)[:4000]


def _numbers(words: list[str]) -> Iterator[tuple[float, int]]:
    """Numbers in words, each with the place of the word after it."""
    at = 0
    while at < len(words):
        value, after = _number(words, at)
        if after > at:
            yield value, after
            at = after
        else:
            at += 1


def _number(words: list[str], at: int) -> tuple[float, int]:
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
        elif word in _JOINING and total >= 30 and words[at + 1 : at + 2] and _adds(words[at + 1]):
            pass
        elif total == 0 and word[0].isdigit() and len(word) <= 6:
            if words[at + 1 : at + 2] and words[at + 1] in _THOUSANDS:
                total = _decimal(word)
            else:
                return _decimal(word), at + 1
        else:
            break
        at += 1
    return total, at if total or at == start else start


def _adds(word: str) -> bool:
    return word in _SMALL and word not in {"a", "an", "un", "una", "one", "cada"} or word == "uno"


def _decimal(word: str) -> float:
    digits = word.replace(",", ".")
    return float(digits) if digits.count(".") <= 1 else 0.0


def _spoken(bare: str) -> Iterator[Quantity]:
    """Numbers with the word that they count, and what that is in other units."""
    words = _words(bare)
    for at, word in enumerate(words):
        if word in _BARE:
            yield from (Quantity(count, unit) for count, unit in _BARE[word])
        if word in _HALVES and word != "mitad":
            following = [w for w in words[at + 1 : at + 3] if w not in _SKIPPED]
            yield from _counted(0.5, following[:1])
    for count, after in _numbers(words):
        unit = _counted_word(words, after)
        if unit and unit[0] in _HALVES:  # "dos y media", handled below
            unit = []
        more = [word for word in words[after : after + 4] if word not in {"a", "una", "un"}]
        if len(more) > 1 and more[0] in _JOINING and more[1] in _HALVES:
            count, unit = count + 0.5, more[2:3]
            if unit and unit[0] in _SKIPPED:
                unit = words[after + 3 : after + 4]
        elif len(more) > 2 and more[1] in _JOINING and more[2] in _HALVES:
            yield from _counted(count + 0.5, unit)
        if count != 1 or (unit and (unit[0] in _CONVERTED or _UNIT_OF.get(unit[0]) in _PEOPLE)):
            yield from _counted(count, unit)


def _counted_word(words: list[str], at: int) -> list[str]:
    """The word that a number counts: that of the last one in ``3, 6 or 12 months``."""
    for _ in range(6):
        if words[at : at + 1] and words[at] in _OR and words[at + 1 : at + 2]:
            at += 1
        after = _number(words, at)[1] if at < len(words) else at
        if after == at:
            break
        at = after
    return words[at : at + 1]


def _counted(count: float, unit: list[str]) -> Iterator[Quantity]:
    word = unit[0] if unit else ""
    if word in _CONVERTED:
        for factor, other in _CONVERTED[word]:
            yield Quantity(count * factor, other)
    else:
        yield Quantity(count, _UNIT_OF.get(word, word if len(word) > 2 else ""))


def _spans(bare: str) -> Iterator[Quantity]:
    """How long it is from one date, weekday or hour to the next that is named."""
    dates = [date for match in _DATE.finditer(bare) if (date := _day_of_year(match)) is not None]
    for first, last in pairwise(dates[:MOST]):
        yield from _stay((last - first) % 365, longest=200)
    for match in _WEEKDAY_RANGE.finditer(bare):
        yield from _stay((_WEEKDAYS[match[2]] - _WEEKDAYS[match[1]]) % 7, longest=7)
    for match in _RANGE.finditer(bare):
        first, last = (int(match[n]) + int(match[n + 1] or 0) / 60 for n in (1, 3))
        if match[2] or match[4]:
            yield Quantity((last - first) % 12, "hour")
        else:
            yield from _stay(last - first, longest=31)
            yield Quantity((last - first) % 12, "hour")
            yield from (Quantity(first), Quantity(last))


def _stay(days: float, *, longest: int) -> Iterator[Quantity]:
    """Nights, and days with both ends."""
    if 0 < days <= longest:
        yield Quantity(days, "day")
        yield Quantity(days + 1, "days, both ends")


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


def _named(found: Sequence[Figure]) -> Iterator[Quantity]:
    """Counts in data, under a name: ``"nights": 3``."""
    for figure in found:
        if figure.role == "other" and figure.before == "_" and figure.value >= 2:
            yield Quantity(figure.value, PER)
        if figure.role == "plain" and figure.key and not is_price_key(figure.key):
            if is_percent_key(figure.key):
                continue
            key = plain(figure.key)
            words = _WORD.findall(key.replace("_", " "))
            unit = next((_UNIT_OF[word] for word in words if word in _UNIT_OF), "")
            if is_count_key(key):
                yield Quantity(figure.value, unit)
