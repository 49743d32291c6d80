"""Sources of an answer's amounts: tools, the customer, the instructions. Pure.

A price that a tool gave for one room is wrong for another. So prices are kept with their items: the
objects of a tool's JSON output with a name and a price (``{"room": "Suite", "price": 320000}``),
and the named prices of an object (``{"suite": 320000, "doble": 180000}``).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.figures import (
    Figure,
    figures,
    is_count_key,
    is_in_cents,
    is_percent_key,
    is_price_key,
    plain,
)
from daemon.domain.validation.number_words import spoken_amounts
from daemon.domain.validation.quantities import Quantity, is_unit, quantities, shares

# -- the items that a tool gave prices for ---------------------------------------------------------


MOST_ITEMS = 200
"""Of all outputs together; later ones are ignored."""

MOST_BYTES = 200_000
"""Of one output; a longer one is not parsed."""

_NAME_LENGTH = 80
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = frozenset(
    {
        *("para", "con", "por", "los", "las", "del", "una", "uno"),
        *("the", "for", "and", "with", "price", "precio", "valor"),
    }
)


@dataclass(frozen=True, slots=True)
class Item:
    """An item with a price."""

    words: frozenset[str]
    """Of its name."""
    prices: frozenset[float]


def priced_items(outputs: Iterable[str]) -> list[Item]:
    """The items in those outputs of tools that are JSON."""
    found = (
        item
        for output in outputs
        for value in _values(output)
        if isinstance(value, dict)
        for item in _items_of(value)
    )
    return list(islice(found, MOST_ITEMS))


def column_sums(output: str) -> Iterator[float]:
    """The sums of an output's lists: their prices, each times its quantity if it has one."""
    for value in _values(output):
        if isinstance(value, list) and 1 < len(value) <= MOST_ITEMS:
            yield from _sums_of([row for row in value if isinstance(row, dict)])


def _values(output: str) -> Iterator[Any]:
    """All lists and objects of an output that is JSON. Not recursive: it may be nested deeply."""
    if len(output) > MOST_BYTES or not output.lstrip().startswith(("{", "[")):
        return
    try:
        waiting = [json.loads(output)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        yield value
        inside = value.values() if isinstance(value, dict) else value
        waiting.extend(each for each in inside if isinstance(each, (dict, list)))


def _sums_of(rows: Sequence[dict[str, Any]]) -> Iterator[float]:
    totals: dict[str, float] = {}
    for row in rows:
        many = next(
            (float(n) for key, n in row.items() if is_count_key(key) and _is_number(n)), 1.0
        )
        for key, value in row.items():
            for price in sorted(_prices(key, value))[-1:]:
                totals[key] = totals.get(key, 0.0) + price * many
    yield from totals.values()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _items_of(record: dict[str, Any]) -> Iterator[Item]:
    prices = {key: prices for key, value in record.items() if (prices := _prices(key, value))}
    names = [
        value
        for value in record.values()
        if isinstance(value, str) and 3 <= len(value) <= _NAME_LENGTH and _WORD.search(value)
    ]
    if names and prices:
        if words := _words(names[0]):
            yield Item(words, frozenset[float]().union(*prices.values()))
    elif len(prices) > 1 and not any(is_price_key(key) for key in record):
        for key, found in prices.items():
            if words := _words(key.replace("_", " ")):
                yield Item(words, found)


def _prices(key: str, value: object) -> frozenset[float]:
    if isinstance(value, bool) or is_count_key(key):
        return frozenset()
    if isinstance(value, (int, float)) and math.isfinite(value):
        return frozenset({float(value)})
    if isinstance(value, str) and len(value) <= 20 and value[:1] in "$€£0123456789":
        return frozenset(f.value for f in figures(value) if f.role != "other")
    return frozenset()


def _words(name: str) -> frozenset[str]:
    return frozenset(_WORD.findall(plain(name))) - _COMMON


def owner(before: str, items: Sequence[Item]) -> Item | None:
    """The item that the words before a price name, if they name exactly one."""
    known = _words(before)
    named = [item for item in items if item.words <= known]
    words = max((item.words for item in named), key=len, default=frozenset[str]())
    if not words or not all(item.words <= words for item in named):
        return None
    return Item(words, frozenset[float]().union(*(i.prices for i in items if i.words == words)))


def is_of_another(value: float, named: Item, around: str, items: Sequence[Item]) -> bool:
    """Whether a price belongs to another item, which the words around it do not name."""
    known = _words(around)
    owners = [item for item in items if value in item.prices]
    return bool(owners) and not any(
        item.words == named.words or item.words & known - named.words for item in owners
    )


MOST_BASES = 150
"""Amounts from which others may be derived."""

SMALLEST_SUM = 1_000
"""A larger number may be a sum of money, whatever its key: ``"kg": 6500``."""

MOST_SHARES = 24
"""Percentages, and sums of lists, that are tried; later ones are ignored."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money, as written in a text."""

    value: float
    written: str
    start: int
    end: int


def amounts_of(found: Iterable[Figure]) -> Iterator[Amount]:
    """The amounts of money among figures."""
    for figure in found:
        if figure.role in {"money", "grouped"} and figure.value:
            yield Amount(figure.value, figure.written, figure.start, figure.end)


@dataclass(frozen=True, slots=True)
class Sources:
    """The numbers, quantities and percentages from which amounts may follow."""

    known: tuple[float, ...]
    """Every number in any source, sorted."""
    bases: tuple[float, ...]
    """Those that may be prices."""
    inbound: frozenset[Quantity]
    """The customer's quantities."""
    given: frozenset[Quantity]
    """The quantities of tools, the instructions and the conversation."""
    shares: frozenset[float]
    items: tuple[Item, ...]
    """Items with prices from the tools of this turn."""
    former: frozenset[float]
    """Numbers of the customer or the earlier conversation that no tool or instruction has."""
    rate: bool
    """Whether a source mentions an exchange rate."""
    columns: tuple[float, ...]
    """The sums of lists in tools' outputs."""
    asked: frozenset[float]
    """The amounts that the customer named."""
    monthly: bool
    """Whether a source mentions months: then a price may cover some days of one."""
    lodging: bool
    """Whether a source mentions nights: then the last day is not counted."""


def read_sources(
    *, inbound: str, tools: Sequence[str], instructions: Sequence[str], before: Sequence[str]
) -> Sources:
    """Read the sources, the likeliest first in case there are too many amounts.

    ``instructions``: all that only the model gets. ``before``: the conversation, oldest first.
    """
    known: set[float] = set()
    bases: dict[float, None] = {}
    parts: set[float] = set()
    given: set[Quantity] = set()
    counted: frozenset[Quantity] = frozenset()
    asked: frozenset[float] = frozenset()
    texts = (inbound, *reversed(tools), *instructions, *reversed(before))
    given_now: set[float] = set()
    columns: set[float] = set()
    for place, text in enumerate(texts):
        found = list(figures(text))
        for figure in found:
            known.update((figure.value, *figure.other_readings))
            if is_in_cents(figure.key):
                known.add(figure.value / 100)
            if 0 < place < len(texts) - len(before):
                given_now.add(figure.value)
        known |= (spoken := spoken_amounts(text))
        bases |= dict.fromkeys([*_bases(text, found, inbound=place == 0), *spoken])
        if 0 < place <= len(tools):
            columns.update(column_sums(text))
        parts |= shares(text, found)
        counts = quantities(text, found)
        if place == 0:
            counted = frozenset(counts)
            asked = frozenset(
                figure.value for figure in found if figure.role in {"money", "grouped"}
            )
        else:
            given.update(counts)
    together = "\n".join(texts)
    return Sources(
        known=tuple(sorted(known)),
        bases=tuple(sorted(list(bases)[:MOST_BASES])),
        inbound=counted,
        given=frozenset(given),
        shares=frozenset(sorted(parts)[:MOST_SHARES]),
        items=tuple(priced_items(tools)),
        former=frozenset(known - given_now),
        columns=tuple(sorted(columns)[:MOST_SHARES]),
        asked=asked,
        rate=bool(words.RATE.search(together)),
        monthly=bool(words.MONTHLY.search(together)),
        lodging=bool(words.LODGING.search(together)),
    )


def _bases(text: str, found: Sequence[Figure], *, inbound: bool) -> Iterator[float]:
    priced = any(figure.role == "money" for figure in found)
    for figure in found:
        bare = figure.role == "plain"
        if figure.role in {"percent", "counted", "other"} or not figure.value:
            continue
        if bare and inbound and figure.value == int(figure.value) and figure.value < SMALLEST_SUM:
            continue
        if bare and not figure.key and is_unit(text, figure.end):
            continue
        if bare and is_count_key(figure.key) and figure.value < SMALLEST_SUM:
            continue
        if bare and priced and not figure.key:  # other figures have a currency: this is no price
            continue
        if bare and is_percent_key(figure.key) and figure.value <= 100:
            continue
        yield figure.value / 100 if is_in_cents(figure.key) else figure.value
