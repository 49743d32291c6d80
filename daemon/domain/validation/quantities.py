"""The quantities of a text: counts with their units, shares, and periods between dates.

Pure. Digits and words, Spanish and English: ``3 noches``, ``quince días``, ``half a year``,
``del 12 al 15``, ``from Friday to Sunday``, ``"nights": 3``, ``15 %``, ``la mitad``.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap

from daemon.domain.validation.figures import (
    Figure,
    is_count_key,
    is_percent_key,
    is_price_key,
    plain,
)
from daemon.domain.validation.number_words import (
    HALVES,
    JOINING,
    WORD,
    number_at,
    numbers_in,
    time_spans,
    words_of,
)

MOST = 40
"""Of one text; later quantities are ignored."""

ADDITIONAL = "additional"
"""The unit of everything beyond the first one."""

PER = "per"
"""The unit of the quantity that a price is for: ``"price_per_100": 22000``."""

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

_SHARES = {
    **dict.fromkeys(("mitad", "half", "medio", "media"), 0.5),
    **dict.fromkeys(("tercio", "tercera", "third"), 1 / 3),
    **dict.fromkeys(("cuarta", "quarter"), 0.25),
}
_FRACTIONS = {"½": " y media ", "1/2": " media ", "¼": " un cuarto "}
_OR = frozenset({"o", "u", "y", "a", "or", "and", "to"})
_WHOLE = frozenset({"toda", "todo", "whole", "entire", "full"})
_SKIPPED = frozenset({"de", "of", "a", "una", "un"})


_ROUND_TRIP = re.compile(r"ida y (?:vuelta|regreso)|round[ -]trip|both ways|return trip")
_WITH_ME = re.compile(r"\by yo\b|\bme and\b|\band (?:me|i|myself)\b|\bplus me\b")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A count of some unit. ``unit`` is empty where the text names none."""

    count: float
    unit: str = ""


def quantities(text: str, found: Sequence[Figure]) -> list[Quantity]:
    """The quantities of a text; ``found`` are its figures. At most `MOST`."""
    kept: dict[Quantity, None] = {}
    for quantity in (
        *_spoken(_counting(text, found)),
        *starmap(Quantity, time_spans(plain(text))),
        *_named(found),
    ):
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
    words = set(WORD.findall(plain(text)))
    parts |= {share for word, share in _SHARES.items() if word in words}
    return {part for part in parts if 0 < part <= 1}


def is_of_rate(quantity: Quantity, among: Collection[Quantity]) -> bool:
    """Whether it may come only from words such as ``a month``, which ask for nothing."""
    longer = {
        (30, "day"): "month",
        (4, "week"): "month",
        (12, "month"): "year",
        (52, "week"): "year",
    }
    name = longer.get((int(quantity.count), quantity.unit))
    return name is not None and Quantity(1, name) in among


def is_unit(text: str, end: int) -> bool:
    """Whether the word after a figure is a known unit."""
    word = WORD.search(plain(text[end : end + 24]))
    return word is not None and (word[0] in _UNIT_OF or word[0] in _CONVERTED)


def _parties(bare: str, counted: Collection[Quantity]) -> Iterator[Quantity]:
    """The number of people together, and of ways of a trip."""
    if _ROUND_TRIP.search(bare):
        yield Quantity(2, "way")
    groups = {q.unit: q.count for q in counted if q.unit in _PEOPLE}
    together = sum(groups.values())
    if len(groups) > 1:
        yield Quantity(together, "people together")
    if _WITH_ME.search(bare):
        yield from (Quantity(q.count + 1, "people together") for q in counted if q.count < 20)


def _counting(text: str, found: Sequence[Figure]) -> str:
    """The text with every figure that cannot be a count replaced by a mark."""
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


def _spoken(bare: str) -> Iterator[Quantity]:
    """Numbers with the word that they count, and their conversions to other units."""
    words = words_of(bare)
    yield from _without_number(words)
    for number, after in numbers_in(words):
        count, unit = number, _counted_word(words, after)
        if unit and unit[0] in HALVES:  # "dos y media", handled below
            unit = []
        more = [word for word in words[after : after + 4] if word not in {"a", "una", "un"}]
        if len(more) > 1 and more[0] in JOINING and more[1] in HALVES:
            count, unit = count + 0.5, more[2:3]
            if unit and unit[0] in _SKIPPED:
                unit = words[after + 3 : after + 4]
        elif len(more) > 2 and more[1] in JOINING and more[2] in HALVES:
            yield from _counted(count + 0.5, unit)
        if count != 1 or (unit and (unit[0] in _CONVERTED or _UNIT_OF.get(unit[0]) in _PEOPLE)):
            yield from _counted(count, unit)


def _without_number(words: list[str]) -> Iterator[Quantity]:
    """Words that count by themselves: ``anual``, ``toda la semana``, ``media hora``."""
    for at, word in enumerate(words):
        if word in _CONVERTED and _WHOLE.intersection(words[max(0, at - 2) : at]):
            yield from (Quantity(count, unit) for count, unit in _CONVERTED[word])
        if word in _BARE:
            yield from (Quantity(count, unit) for count, unit in _BARE[word])
        if word in HALVES and word != "mitad":
            following = [w for w in words[at + 1 : at + 3] if w not in _SKIPPED]
            yield from _counted(0.5, following[:1])


def _counted_word(words: list[str], at: int) -> list[str]:
    """The word that a number counts: that of the last one in ``3, 6 or 12 months``."""
    for _ in range(6):
        if words[at : at + 1] and words[at] in _OR and words[at + 1 : at + 2]:
            at += 1
        after = number_at(words, at)[1] if at < len(words) else at
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


def _named(found: Sequence[Figure]) -> Iterator[Quantity]:
    """Counts in data, under a name: ``"nights": 3``."""
    for figure in found:
        if figure.role == "other" and figure.before == "_" and figure.value >= 2:
            yield Quantity(figure.value, PER)
        if figure.role == "plain" and figure.key and not is_price_key(figure.key):
            if is_percent_key(figure.key):
                continue
            key = plain(figure.key)
            words = WORD.findall(key.replace("_", " "))
            unit = next((_UNIT_OF[word] for word in words if word in _UNIT_OF), "")
            if is_count_key(key):
                yield Quantity(figure.value, unit)
