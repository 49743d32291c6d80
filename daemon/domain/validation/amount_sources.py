"""What the amounts of an answer may come from: what tools, customer and instructions said. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.data_keys import is_count_key, is_in_cents, is_percent_key
from daemon.domain.validation.figures import Figure, figures
from daemon.domain.validation.number_words import spoken_amounts
from daemon.domain.validation.priced_items import Item, column_sums, priced_items
from daemon.domain.validation.quantities import Quantity, is_unit, quantities, shares

MOST_BASES = 150
"""Amounts that others may be derived from."""

SMALLEST_SUM = 1_000
"""A larger number is no count, whatever its name: ``"kg": 6500``."""

MOST_SHARES = 24
"""Percentages, and sums of lists, that are tried."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as a text has it."""

    value: float
    written: str
    start: int
    end: int


def amounts(text: str) -> Iterator[Amount]:
    """The amounts of money in a text: with a currency, or grouped in thousands."""
    return amounts_of(figures(text))


def amounts_of(found: Iterable[Figure]) -> Iterator[Amount]:
    """The amounts of money among figures."""
    for figure in found:
        if figure.role in {"money", "grouped"} and figure.value:
            yield Amount(figure.value, figure.written, figure.start, figure.end)


@dataclass(frozen=True, slots=True)
class Sources:
    """What amounts may come from."""

    said: tuple[float, ...]
    """Every number that somebody said, sorted."""
    bases: tuple[float, ...]
    """Those that may be prices."""
    heard: frozenset[Quantity]
    """What the customer counts."""
    given: frozenset[Quantity]
    """What tools, the instructions and the conversation count."""
    shares: frozenset[float]
    items: tuple[Item, ...]
    """What the tools of this turn gave prices for."""
    former: frozenset[float]
    """What the customer or the conversation before has said, and no tool."""
    rate: bool
    """Whether an exchange rate is spoken of."""
    columns: tuple[float, ...]
    """What the lists of tools come to."""
    asked: frozenset[float]
    """The amounts that the customer named."""
    monthly: bool
    """Whether months are spoken of: then a price may be for some days of one."""
    lodging: bool
    """Whether nights are spoken of: then days are counted without the last."""


def read_sources(
    *, heard: str, tools: Sequence[str], instructions: Sequence[str], before: Sequence[str]
) -> Sources:
    """Read what amounts may come from, the likeliest first where there is too much of it.

    ``instructions``: what only the model is told. ``before``: the conversation, oldest first.
    """
    said: set[float] = set()
    bases: dict[float, None] = {}
    parts: set[float] = set()
    given: set[Quantity] = set()
    counted: frozenset[Quantity] = frozenset()
    asked: frozenset[float] = frozenset()
    texts = (heard, *reversed(tools), *instructions, *reversed(before))
    given_now: set[float] = set()
    columns: set[float] = set()
    for place, text in enumerate(texts):
        found = list(figures(text))
        for figure in found:
            said.update((figure.value, *figure.other_readings))
            if is_in_cents(figure.key):
                said.add(figure.value / 100)
            if 0 < place < len(texts) - len(before):
                given_now.add(figure.value)
        said |= (spoken := spoken_amounts(text))
        bases |= dict.fromkeys([*_bases(text, found, heard=place == 0), *spoken])
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
        said=tuple(sorted(said)),
        bases=tuple(sorted(list(bases)[:MOST_BASES])),
        heard=counted,
        given=frozenset(given),
        shares=frozenset(sorted(parts)[:MOST_SHARES]),
        items=tuple(priced_items(tools)),
        former=frozenset(said - given_now),
        columns=tuple(sorted(columns)[:MOST_SHARES]),
        asked=asked,
        rate=bool(words.RATE.search(together)),
        monthly=bool(words.MONTHLY.search(together)),
        lodging=bool(words.LODGING.search(together)),
    )


def _bases(text: str, found: Sequence[Figure], *, heard: bool) -> Iterator[float]:
    priced = any(figure.role == "money" for figure in found)
    for figure in found:
        bare = figure.role == "plain"
        if figure.role in {"percent", "counted", "other"} or not figure.value:
            continue
        if bare and heard and figure.value == int(figure.value) and figure.value < SMALLEST_SUM:
            continue
        if bare and not figure.key and is_unit(text, figure.end):
            continue
        if bare and is_count_key(figure.key) and figure.value < SMALLEST_SUM:
            continue
        if bare and priced and not figure.key:  # where prices have a currency, it has none
            continue
        if bare and is_percent_key(figure.key) and figure.value <= 100:
            continue
        yield figure.value / 100 if is_in_cents(figure.key) else figure.value
