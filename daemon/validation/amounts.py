"""Amounts of money in an answer, held against what was said: said, derived from it, or strange. Pure.

An amount may be said by a tool, the customer, the instructions or the conversation. What was said
may be multiplied by a quantity, divided by one, changed by a percentage and rounded; and amounts
that are accounted for may be added and subtracted. Each of these is tried with the quantities and
percentages of the same sentence first: where a sentence says ``3 noches``, four nights explain
nothing. The search is bounded, and the widest part of it counts only where few other amounts of
the same roundness could be found in the same way: what explains everything explains nothing.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from daemon.validation.figures import Figure, figures, is_count_key, is_in_cents, is_percent_key
from daemon.validation.priced_items import Item, column_sums, is_of_another, owner, priced_items
from daemon.validation.quantities import (
    PER,
    Quantity,
    is_of_rate,
    is_unit,
    quantities,
    shares,
    spoken_amounts,
)

MOST_AMOUNTS = 80
"""Of one answer that are looked at."""

MOST_BASES = 150
"""Amounts that others may be derived from."""

MOST_FACTORS = 400
MOST_LINES = 60
MOST_TERMS = 24
MOST_COUNTS = 8
MOST_TRIPLED = 40
"""Bounds of the search: factors of one amount, products in a sum, and terms that are combined."""

CHANCE_NEAR = 0.25
CHANCE = 0.1
"""The widest search explains an amount only if it explains no more than this share of the others."""

EXACT = 0.006
"""Half a cent, and what floating point adds to it."""

_SENTENCE_END = re.compile(r"\n+|[.!?;](?=\s)|[?!]")
_DIFFERENCE = re.compile(
    r"ahorr|descuent|rebaja|resto|restante|saldo|diferencia|falta|vuelt|devuel|devolv|menos"
    r"|\bbaja|pendiente|\bsave|saving|remain|\brest\b|balance|(?<!-)\boff\b|differ|change\b|less|minus|\bowe"
    r"|\bdue\b|\bleft\b|below|after|discount|refund|cheaper|m[aá]s barat|m[aá]s car|en vez|en lugar"
    r"|instead|exced|sobr[ae]|\b(?:tu|su|el)\s(?:cambio|vuelto)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"(?:\baprox\w*\.?|\bunos|\bunas|\bcasi|cerca de|alrededor de|m[aá]s o menos|\bcomo\sa|\babout"
    r"|\baround|\broughly|\bnearly|\balmost|\bapprox\w*\.?|[~≈]|poco m[aá]s de|poco menos de|just over"
    r"|just under|or so|equivalen?t?e?s? a|\+/-)\s?(?:a\s|de\s|los\s|the\s)?[*_]?$",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"\btrm\b|tasa|tipo de cambio|exchange|\brate\b|al cambio|conversi|cambio del d[ií]a",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"(?:\btotal(?:es)?\b|subtotal|en total|todo junto|las (?:dos|tres|2|3) cosas|altogether|\bin all\b"
    r"|all in\b|together|en conjunto|\bsuma\b|=)[^\n.]{0,24}$",
    re.IGNORECASE,
)
_RESULT = re.compile(r"[:=]\s?(?:son|ser[ií]an?|es|te\squeda|queda)?\s?[*_]?$", re.IGNORECASE)
_COMES_TO = re.compile(
    r"(?:ser[ií]an?|\bson|te queda|quedar?[ií]an?|comes? to|that's|that is|\bso|makes?|would be)\s?(?:en\s)?"
    r"[*_]?$",
    re.IGNORECASE,
)
_TOTAL_AFTER = re.compile(
    r"[*_~]{0,2},?\s?(?:en total|in total|total\b|altogether|in all|all in|por todo)", re.IGNORECASE
)
_FORMER = re.compile(
    r"\bantes\b|anterior|en lugar de|en vez de|frente a|normal|\bbefore\b|\bwas\b|previous|instead of"
    r"|rather than|usual|regular|original|\bde lista\b|hab[ií]a",
    re.IGNORECASE,
)
"""Said before an amount that holds no more, or elsewhere."""
_EACH = re.compile(
    r"[*_~]{0,2}\s?(?:/|c/u|cada|por\s(?!las?\b|los\b|el\b|tod|amb|un|dos|[0-9])[^\W\d_]+"
    r"|p/p|p\.p|la (?:noche|hora|unidad|docena|sesi[oó]n|clase)|el (?:d[ií]a|metro|kilo|mes|gal[oó]n)"
    r"|al (?:mes|d[ií]a)|diari[oa]s?|mensual(?:es)?|each|per\b|an?\s(?:day|night|hour|month|week|person"
    r"|piece|yard|dozen|visit)|apiece|pp\b)",
    re.IGNORECASE,
)
"""Said after the price of one of several."""
_BETWEEN = re.compile(r"\b(?:entre|desde|between|from|o)\s[*_]?$", re.IGNORECASE)
_ADDITIONAL = re.compile(r"primer|\bfirst\b|adicional|additional|\bextra\b", re.IGNORECASE)
_LABEL_END = re.compile(
    r"[,;:.()\n]|\s(?:y|e|o|and|or|m[aá]s|plus|con|with|pero|but|mientras|while)\s"
)
_LODGING = re.compile(r"noche|night", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as a text has it."""

    value: float
    written: str
    start: int
    end: int


def amounts(text: str) -> Iterator[Amount]:
    """The amounts of money in a text: with a currency, or grouped in thousands."""
    return _amounts(figures(text))


def _amounts(found: Iterable[Figure]) -> Iterator[Amount]:
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
    lodging: bool
    """Whether nights are spoken of: then days are counted without the last."""


def read_sources(
    *, heard: str, tools: Sequence[str], instructions: Sequence[str], before: Sequence[str]
) -> Sources:
    """Read what amounts may come from, the likeliest first where there is too much of it.

    ``instructions``: what only the model is told; ``before``: the conversation so far, oldest first.
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
        bases |= dict.fromkeys([*_bases(text, found), *spoken])
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
        shares=frozenset(sorted(parts)[:MOST_TERMS]),
        items=tuple(priced_items(tools)),
        former=frozenset(said - given_now),
        columns=tuple(sorted(columns)[:MOST_TERMS]),
        asked=asked,
        rate=bool(_RATE.search(together)),
        lodging=bool(_LODGING.search(together)),
    )


def _bases(text: str, found: Sequence[Figure]) -> Iterator[float]:
    priced = any(figure.role == "money" for figure in found)
    for figure in found:
        bare = figure.role == "plain"
        if figure.role in {"percent", "counted", "other"} or not figure.value:
            continue
        if bare and (is_count_key(figure.key) or (not figure.key and is_unit(text, figure.end))):
            continue
        if bare and priced and not figure.key:  # where prices have a currency, it has none
            continue
        if bare and is_percent_key(figure.key) and figure.value <= 100:
            continue
        yield figure.value / 100 if is_in_cents(figure.key) else figure.value


def strange_amounts(text: str, sources: Sources) -> list[Amount]:
    """The amounts of an answer that nobody said and that do not follow from what was said."""
    return _Search(text, sources).strange()


class _Search:
    """One answer being looked at."""

    def __init__(self, text: str, sources: Sources) -> None:
        self._text = text
        self._sources = sources
        self._figures = list(figures(text))
        self._stated = list(_amounts(self._figures))[:MOST_AMOUNTS]
        self._accounted: dict[int, float] = {}
        """The places of the amounts that are explained, in the order of the text."""
        self.why: dict[int, str] = {}
        self._ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        self._units: set[float] = set()
        """Prices of one thing of which the answer has the price of several."""
        self._own = quantities(text, self._figures)
        self._rate = sources.rate or bool(_RATE.search(text))
        self._lodging = sources.lodging or bool(_LODGING.search(text))

    def strange(self) -> list[Amount]:
        self._units = set(self._find_units())
        rest = list(enumerate(self._stated))
        while rest:
            left = [(at, amount) for at, amount in rest if not self._is_explained(at, amount)]
            if len(left) == len(rest):
                break
            rest = left
        wrong = {at for at, _ in rest} | {
            at for at, why in self.why.items() if why == "said" and self._is_of_another(at)
        }
        return [amount for at, amount in enumerate(self._stated) if at in wrong]

    def _is_explained(self, at: int, amount: Amount) -> bool:
        goal = _Goal(amount.value, hedged=self._is_hedged(amount))
        sentence = self._sentence(amount)
        ways: dict[str, Callable[[], bool]] = {
            "said": lambda: goal.is_near(self._sources.said),
            "run": lambda: self._is_run(at, goal),
            "scaled": lambda: self._is_scaled(goal, sentence),
            "difference": lambda: self._is_difference(goal, amount),
        }
        total = self._is_total(at, amount)
        if not total:  # a total of less than all amounts before it is wrong
            ways |= {
                "column": lambda: goal.is_near(self._sources.columns),
                "sum": lambda: self._is_sum(goal, sentence),
                "converted": lambda: self._rate and self._is_converted(goal),
            }
        ways |= {
            "near": lambda: self._is_found_near(goal, amount, multiplied=total),
            "far": lambda: self._is_found_far(goal, amount, multiplied=total),
        }
        why = next((name for name, explains in ways.items() if explains()), "")
        if why:
            self._accounted[at] = amount.value
            self.why[at] = why
        return bool(why)

    def _is_hedged(self, amount: Amount) -> bool:
        return bool(_HEDGE.search(self._text[max(0, amount.start - 24) : amount.start]))

    def _sentence(self, amount: Amount) -> str:
        start, end = self._sentence_of(amount)
        return self._text[start:end]

    def _sentence_of(self, amount: Amount) -> tuple[int, int]:
        at = bisect_left(self._ends, amount.start + 1)
        start = self._ends[at - 1] if at else 0
        later = bisect_left(self._ends, amount.end)
        return start, self._ends[later] if later < len(self._ends) else len(self._text)

    # -- what an amount may be multiplied with ---------------------------------------------------

    def _counts(self, sentence: str) -> tuple[set[Quantity], set[Quantity]]:
        """The quantities of a sentence, and those of elsewhere that do not contradict them."""
        heard, given = self._sources.heard, self._sources.given
        asked = {q.unit for q in heard if q.unit and q.count > 1 and not is_of_rate(q, heard)}
        known = heard | given

        if _ADDITIONAL.search(self._text):
            known |= {Quantity(q.count - 1, "additional") for q in heard if q.count > 2}

        def is_believed(q: Quantity) -> bool:
            return q.unit not in asked or q in known

        local = {q for q in quantities(sentence, list(figures(sentence))) if is_believed(q)}
        units = {q.unit for q in local if q.unit}
        elsewhere = {
            q for q in (*known, *self._own) if is_believed(q) and q.unit not in {*units, PER}
        }
        if self._lodging or "day" in units:
            elsewhere = {q for q in elsewhere if q.unit != "days, both ends"}
        return local, elsewhere

    def _factors(self, sentence: str) -> tuple[set[float], set[float]]:
        """Factors of a price, and what percentages make of it."""
        local, elsewhere = self._counts(sentence)
        near = local | {q for q in elsewhere if q in self._sources.heard}
        counts = {q.count for q in local | elsewhere}
        products = {
            a.count * b.count
            for a in near
            for b in local | elsewhere
            if a.unit != b.unit and a.count != b.count
        }
        wanted = {q.count for q in self._sources.heard} - {1.0}
        if wanted & {
            q.count for q in local
        }:  # the sentence is about what the customer wants so many of
            bound = {q.count for q in local}
            counts = bound
            products = {a * q.count for a in bound for q in local | elsewhere if a != q.count}
        products |= {  # "precio_x_100"
            a.count / b.count
            for a in near
            for b in self._sources.given
            if b.unit == PER and a.count > b.count and a.count % b.count == 0
        }
        whole = sorted(counts | products)[:MOST_FACTORS]
        parts = shares(sentence, list(figures(sentence))) or set(self._sources.shares) | shares(
            self._text, self._figures
        )
        changes = {change for p in parts for change in (p, 1 - p, 1 + p, 1 / (1 + p)) if change > 0}
        return {*whole, 1.0}, changes

    def _is_scaled(self, goal: "_Goal", sentence: str) -> bool:
        """A known amount times a quantity, divided by one, or with a percentage on or off."""
        counts, changes = self._factors(sentence)
        bases = sorted({*self._sources.bases, *self._accounted.values()})
        return (
            any(goal.is_near(bases, factor) for factor in counts)
            or any(goal.is_near(bases, 1 / count) for count in counts if count > 1)
            or any(goal.is_near(bases, change * c) for change in changes for c in counts)
            or any(goal.is_near(bases, change / c) for change in changes for c in counts if c > 1)
        )

    # -- sums and differences ----------------------------------------------------------------------

    def _terms(self, *, before: int = MOST_AMOUNTS, after: int = -1) -> list[int]:
        """The places of amounts that a sum may have: not the price of one of what it counts."""
        return [
            place
            for place in sorted(self._accounted)
            if after < place < before and self._accounted[place] not in self._units
        ]

    def _is_total(self, at: int, amount: Amount) -> bool:
        """Whether it is called the total of amounts that stand before it."""
        before = self._text[max(0, amount.start - 48) : amount.start]
        start, _ = self._sentence_of(amount)
        terms = [p for p in self._terms(before=at) if not self._is_former(p)]
        if _BETWEEN.search(before):
            return False
        if _TOTAL.search(before) or _TOTAL_AFTER.match(self._text, amount.end):
            return len(terms) > 1
        if _RESULT.search(before):
            return len([p for p in terms if self._stated[p].start >= start]) > 1
        own = [p for p in terms if self._stated[p].start >= start]
        return bool(_COMES_TO.search(before)) and len(own) == len(terms) == 2

    def _is_run(self, at: int, goal: "_Goal") -> bool:
        """The sum of the amounts right before it, or right after it.

        Prices of one of several, those in brackets and those that hold no more may be left out.
        """
        for places in (self._terms(before=at)[::-1], self._terms(after=at)):
            held = [p for p in places if not self._is_former(p) and not self._is_asked(p)]
            for kept in (
                held,
                [p for p in held if not self._is_each(p)],
                [p for p in held if not self._is_in_brackets(p)],
            ):
                if goal.is_sum([self._accounted[p] for p in kept]):
                    return True
        return False

    def _is_each(self, place: int) -> bool:
        return bool(_EACH.match(self._text, self._stated[place].end))

    def _is_former(self, place: int) -> bool:
        start = self._stated[place].start
        return bool(_FORMER.search(self._text[max(0, start - 16) : start]))

    def _is_asked(self, place: int) -> bool:
        """Whether the customer named it: the value of a parcel, a budget."""
        return self._stated[place].value in self._sources.asked

    def _is_in_brackets(self, place: int) -> bool:
        """Whether a bracket before it, of the same line, is still open."""
        start = self._stated[place].start
        line = self._text[max(0, start - 60) : start].rpartition("\n")[2]
        return line.count("(") > line.count(")")

    def _find_units(self) -> Iterator[float]:
        """Prices of one thing beside which the answer has the price of several."""
        for at, amount in enumerate(self._stated):
            if _Goal(amount.value, hedged=False).is_near(self._sources.said):
                continue
            local, elsewhere = self._counts(self._sentence(amount))
            counts = {q.count for q in (*local, *elsewhere) if q.count >= 2 or q.count == 0.5}
            for other in self._stated[max(0, at - 3) : at + 4]:
                if round(amount.value / other.value, 6) in counts:
                    yield other.value

    def _is_sum(self, goal: "_Goal", sentence: str) -> bool:
        """The sum of two or three amounts, one of them as often as the sentence says."""
        places = [p for p in self._terms() if not self._is_each(p)]
        terms = sorted({self._accounted[place] for place in places})[:MOST_TERMS]
        stated = sorted(set(self._accounted.values()))[:MOST_TERMS]
        known = sorted({*terms, *self._sources.bases} - self._units)[:MOST_BASES]
        local, _ = self._counts(sentence)
        return (
            any(goal.is_at(a + b) for a in terms for b in known if a != b)
            or any(
                goal.is_at(a + q.count * b) for a in terms for b in stated for q in local if a != b
            )
            or any(goal.is_at(sum(three)) for three in combinations(terms[:12], 3))
        )

    def _speaks_of_difference(self, amount: Amount) -> bool:
        before, after = self._text[max(0, amount.start - 48) : amount.start], amount.end
        return bool(
            _DIFFERENCE.search(before) or _DIFFERENCE.search(self._text[after : after + 30])
        )

    def _is_difference(self, goal: "_Goal", amount: Amount) -> bool:
        """What is left of an amount, or of two together, where the words beside it say so."""
        if not self._speaks_of_difference(amount):
            return False
        terms = sorted(set(self._accounted.values()))[:12]
        known = sorted({*terms, *self._sources.bases})[:MOST_BASES]
        return any(goal.is_at(b - a) for a, b in combinations(known, 2)) or any(
            goal.is_at(a + b - c) for a, b in combinations(terms, 2) for c in terms
        )

    def _is_converted(self, goal: "_Goal") -> bool:
        """An amount in another currency: a product or quotient of two that were said."""
        known = sorted({*self._accounted.values(), *self._sources.bases})[:MOST_BASES]
        loose = _Goal(goal.value, hedged=True)
        return any(loose.is_at(a * b) or loose.is_at(b / a) for a, b in combinations(known, 2) if a)

    def _is_found_near(self, goal: "_Goal", amount: Amount, *, multiplied: bool = False) -> bool:
        """The sum of up to three amounts of the answer, each times a quantity."""
        stated = set(self._accounted.values()) - self._units
        few, more = self._few_counts(amount)
        return any(
            goal.is_rarely_at(
                self._sums(stated, counts, amount, multiplied=multiplied), CHANCE_NEAR
            )
            for counts in (few, [count for count in more if count == int(count)])
        )

    def _is_found_far(self, goal: "_Goal", amount: Amount, *, multiplied: bool = False) -> bool:
        """The same with all amounts that were said, where that is more than chance."""
        stated, sources = self._accounted.values(), self._sources
        known = {*stated, *sources.bases, *sources.columns} - self._units
        few, more = self._few_counts(amount)
        return any(
            goal.is_rarely_at(self._sums(known, counts, amount, multiplied=multiplied), chance)
            for counts, chance in ((few, CHANCE), (more, CHANCE / 2))
        )

    def _few_counts(self, amount: Amount) -> tuple[list[float], list[float]]:
        """Quantities for sums: those of the sentence, then with those of the whole conversation."""
        local, elsewhere = self._counts(self._sentence(amount))
        local |= {q for q in elsewhere if q.unit == "additional"}
        near = [1.0, *sorted({q.count for q in local})]
        asked = {q.count for q in elsewhere if q in self._sources.heard or q in self._own}
        few, more = dict.fromkeys(near), dict.fromkeys([*near, *sorted(asked)])
        return list(few)[:MOST_COUNTS], list(more)[:MOST_COUNTS]

    def _sums(
        self,
        known: set[float],
        counts: Sequence[float],
        amount: Amount,
        *,
        multiplied: bool = False,
    ) -> set[float]:
        """What two or three amounts come to, each times a quantity: sums, and differences.

        ``multiplied``: one of them is there more than once.
        """
        lines = [(base, count) for base in sorted(known)[:MOST_TERMS] for count in counts]
        lines = lines[:MOST_LINES]
        sizes = (2, 3) if len(lines) <= MOST_TRIPLED else (2,)
        differs = self._speaks_of_difference(amount)
        found: set[float] = set()
        for size in sizes:
            for terms in combinations(lines, size):
                if len({base for base, _ in terms}) < size:
                    continue
                is_plain = all(count == 1 for _, count in terms)
                if multiplied and is_plain:
                    continue
                values = [base * count for base, count in terms]
                found.add(sum(values))
                if size == 2 and (differs or is_plain):
                    found.add(abs(values[0] - values[1]))
        return found

    # -- whose price it is -------------------------------------------------------------------------

    def _is_of_another(self, at: int) -> bool:
        """Whether an amount that was said is the price of something else, or one of before."""
        amount = self._stated[at]
        start, end = self._sentence_of(amount)
        earlier = max((a.end for a in self._stated[:at] if a.end <= amount.start), default=0)
        later = self._stated[at + 1].start if at + 1 < len(self._stated) else end
        before = self._text[max(start, earlier) : amount.start]
        named = owner(before, self._sources.items)
        if named is None or amount.value in named.prices or _FORMER.search(before):
            return False
        if amount.value in self._sources.former:
            return not named.prices & {stated.value for stated in self._stated}
        after = _LABEL_END.split(self._text[amount.end : min(end, later)], maxsplit=1)[0]
        around = f"{before} {after}"
        return is_of_another(amount.value, named, around, self._sources.items)


class _Goal:
    """An amount that is looked for."""

    def __init__(self, value: float, *, hedged: bool) -> None:
        self.value = value
        self._hedged = hedged
        self._step = _roundness(value)

    def is_at(self, found: float) -> bool:
        """Whether a result is the amount, as exactly as the amount is written."""
        off = abs(self.value - found)
        if off <= EXACT:
            return True
        if off >= self._step or off > found * (0.05 if self._hedged else 0.01):
            return False
        tenth = self._step / 10
        return self._hedged or abs(found / tenth - round(found / tenth)) > 0.001

    def is_near(self, known: Sequence[float], factor: float = 1.0) -> bool:
        """Whether one of the known amounts, sorted, times a factor is the amount."""
        reach = self.value * (0.06 if self._hedged else 0.011) + EXACT
        at = bisect_left(known, (self.value - reach) / factor)
        while at < len(known) and known[at] * factor <= self.value + reach:
            if self.is_at(known[at] * factor):
                return True
            at += 1
        return False

    def is_sum(self, run: Iterable[float]) -> bool:
        """Whether the first two or more of a run come to the amount."""
        total = 0.0
        for count, value in enumerate(run):
            total += value
            if count and self.is_at(total):
                return True
        return False

    def is_rarely_at(self, found: set[float], chance: float) -> bool:
        """Whether a result is the amount, and few others of its kind are results too."""
        if not any(self.is_at(result) for result in found):
            return False
        low, high = self.value * 0.8, self.value * 1.25
        others = {
            round(result / self._step)
            for result in found
            if low <= result <= high and abs(result / self._step % 1) < 0.001
        }
        return len(others) <= max(1.0, chance * (high - low) / self._step)


def _roundness(value: float) -> float:
    """The largest power of ten that an amount is a multiple of; cents are one too."""
    cents = round(value * 100)
    step = 1
    while cents and cents % (step * 10) == 0:
        step *= 10
    return step / 100
