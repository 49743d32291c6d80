"""Amounts of money in texts, in the notations of Latin America, Spain and English. Pure.

``$1.234.567``, ``1,234,567 COP``, ``840.000``, ``US$ 45.50``, ``180 mil``, ``1,2 millones``,
``180k``. Compared as exact numbers: 80.000 is not part of 180.000.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

_NUMBER = r"\d[\d.,]*\d|\d"
_BEFORE = r"(?:(?:US|COP|MX|AR|CL|R|S/)?\$|€|£|\b(?:COP|USD|EUR|MXN|PEN|CLP|ARS))"
_AFTER = r"(?:COP|USD|EUR|MXN|PEN|CLP|ARS|pesos|d[oó]lares|euros|dollars|soles|€)(?!\w)"
_TIMES = r"(?:mil(?:lones|l[oó]n)?|million|millions|k|M)(?!\w)"
_MONEY = re.compile(
    rf"(?P<before>{_BEFORE}\s?)?(?<![\w.,/-])(?P<number>{_NUMBER})(?!\w*[/-]?\d)"
    rf"(?:\s?(?P<times>{_TIMES}))?(?:\s?(?:de\s)?(?P<after>{_AFTER}))?"
)
_ANY = re.compile(rf"(?<![\d.,])(?P<number>{_NUMBER})(?:\s?(?P<times>{_TIMES}))?")
_GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d{1,2})?|\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?")
_UNIT = re.compile(
    r"\s?(?:m|mts?|metros?|meters?|m²|m2|km|kms|kil[oó]metros?|kg|kilos?|g|gr|ml|l|litros?|pies|msnm"
    r"|personas?|people|guests|hu[eé]spedes|habitantes|pasos|puntos|points|opiniones|reviews|kcal"
    r"|mb|gb)(?![\w])",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s?%")
_COUNT = re.compile(r"(?<![\d.,$€£-])(\d{1,2})(?![\d.,]*\d|\s?%)")
_COUNT_WORDS = {
    "dos": 2,
    "tres": 3,
    "cuatro": 4,
    "cinco": 5,
    "seis": 6,
    "siete": 7,
    "ocho": 8,
    "nueve": 9,
    "diez": 10,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "semana": 7,
    "week": 7,
    "quincena": 15,
    "mitad": 2,
    "half": 2,
}
_TIMES_OF = {
    "mil": 1000,
    "k": 1000,
    "m": 1_000_000,
    **dict.fromkeys(("millon", "millón", "millones", "million", "millions"), 1_000_000),
}


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as a text has it."""

    value: Decimal
    written: str


def amounts(text: str) -> Iterator[Amount]:
    """The amounts of money in a text: with a currency, or grouped in thousands."""
    for match in _MONEY.finditer(text):
        number = match["number"]
        named = match["before"] or match["after"]
        grouped = _GROUPED.fullmatch(number) or (match["times"] or "").lower().startswith("mil")
        if not named and (not grouped or _UNIT.match(text, match.end())):
            continue
        value = _readings(number)[0] * _multiple(match["times"])
        if value:
            yield Amount(value, match[0].strip())


def numbers(text: str) -> set[Decimal]:
    """Every number in a text, in all ways that it may be read."""
    return {
        reading * times
        for match in _ANY.finditer(text)
        for reading in _readings(match["number"])
        for times in {1, _multiple(match["times"])}
    }


def _multiple(word: str | None) -> int:
    return _TIMES_OF[word.lower()] if word else 1


def _readings(number: str) -> list[Decimal]:
    """The ways to read a number, the likeliest first: ``180.000`` is grouped, or has decimals."""
    digits = re.sub(r"[.,]", "", number)
    whole = Decimal(digits)
    marks = re.findall(r"[.,]", number)
    if not marks:
        return [whole]
    head, tail = re.split(r"[.,](?=\d*$)", number)
    decimal = Decimal(f"{re.sub(r'[.,]', '', head)}.{tail}")
    if len(tail) == 3 and head.lstrip("0") and len(set(marks)) == 1:
        return [whole] if len(marks) > 1 else [whole, decimal]
    if len(set(marks)) == 1 and len(marks) > 1:
        return [whole]
    return [decimal]


def strange_amounts(text: str, *, known: Iterable[str], said: str) -> list[Amount]:
    """The amounts of a text that nobody said and that do not follow from what was said.

    ``known``: the texts amounts may come from. What follows: a known amount times a count, or a
    share in percent, that the text or ``said`` (the customer) names; and sums and differences of
    amounts of the text that are accounted for themselves.
    """
    stated = list(amounts(text))
    if not stated:
        return []
    sources = set().union(*(numbers(source) for source in known))
    factors = _factors(f"{said}\n{text}")
    accounted = {a.value for a in stated if _follows(a.value, sources, factors)}
    while True:
        more = {
            a.value
            for a in stated
            if a.value not in accounted and _is_sum(a.value, accounted, factors)
        }
        if not more:
            break
        accounted |= more
    return [a for a in stated if a.value not in accounted]


def _factors(text: str) -> set[Decimal]:
    """What an amount may have been multiplied with: counts of nights and people, percentages."""
    counts = {int(match[1]) for match in _COUNT.finditer(text)}
    words = set(re.findall(r"[a-z]+", text.casefold()))
    counts |= {count for word, count in _COUNT_WORDS.items() if word in words}
    counts -= {0, 1}
    shares = {Decimal(match[1].replace(",", ".")) / 100 for match in _PERCENT.finditer(text)}
    shares = {share for share in shares if 0 < share <= 1}
    products = {Decimal(a * b) for a, b in combinations(sorted(counts), 2)}
    halves = {Decimal("0.5")} if words & {"mitad", "half"} else set()
    plain = {Decimal(count) for count in counts} | (products if len(counts) <= 4 else set())
    parts = shares | {1 - share for share in shares} | {1 + share for share in shares} | halves
    return {*plain, *parts, *(p * count for p in parts for count in plain), Decimal(1)}


def _follows(value: Decimal, sources: set[Decimal], factors: set[Decimal]) -> bool:
    return any(_near(value / factor, sources) for factor in factors if factor)


def _near(value: Decimal, sources: set[Decimal]) -> bool:
    # Division may leave endless decimals; a source is met exactly or not at all.
    rounded = value.quantize(Decimal("0.000001")) if abs(value) < Decimal("1e20") else value
    return any(abs(rounded - s) < Decimal("0.000002") for s in sources)


def _is_sum(value: Decimal, accounted: set[Decimal], factors: set[Decimal]) -> bool:
    """Whether a value is a total, or a rest, of amounts that are accounted for."""
    terms = sorted(accounted)[:40]
    if value == sum(terms):
        return True
    pairs = {a + b for a, b in combinations(terms, 2)} | {b - a for a, b in combinations(terms, 2)}
    triples = {sum(three) for three in combinations(terms[:12], 3)}
    return value in pairs | triples or _follows(value, accounted, factors)
