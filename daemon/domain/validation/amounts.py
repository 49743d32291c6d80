"""Amounts of money in an answer: each has a source, follows from one, or is unexplained.

Pure. Sources are tools, the customer, the instructions and the conversation. An amount may follow
by multiplying by a quantity, dividing by one, applying a percentage and rounding; explained amounts
may be added and subtracted. The quantities and percentages of the same sentence come first: where
the customer wants three nights and the sentence says so, four explain nothing. The search is
bounded, and its widest part counts only where few other amounts of the same roundness could be
found in the same way: what explains everything explains nothing.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import combinations

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.amount_sources import (
    MOST_BASES,
    Amount,
    Sources,
    is_of_another,
    owner,
)
from daemon.domain.validation.answer_amounts import MOST_AMOUNTS, AnswerAmounts, Factors

# -- comparing: exactly, rounded, or by chance -----------------------------------------------------


EXACT = 0.006
"""Half a cent, and what floating point adds to it."""

ROUNDED = 0.001
"""The share of a result by which a rounded amount may differ from it."""

HEDGED = 0.05
"""The same for ``unos $90.000``, ``about $90``."""


class Goal:
    """The amount that a search wants to explain."""

    def __init__(self, value: float, *, hedged: bool) -> None:
        self.value = value
        self._hedged = hedged
        self._step = _roundness(value)

    def is_at(self, found: float, *, rounded: bool = False) -> bool:
        """Whether a result equals the amount.

        With ``rounded``, and for an approximate amount, a result that rounds to it counts too.
        """
        off = abs(self.value - found)
        if off <= EXACT:
            return True
        if self._step < 1 or not (rounded or self._hedged):
            return False
        if self._hedged:
            return off < self._step and off <= found * HEDGED
        if off < 0.5:
            return True
        tenth = self._step / 10
        is_finer = abs(found / tenth - round(found / tenth)) > 0.001
        return off < self._step and off <= found * ROUNDED and is_finer

    def is_near(
        self, known: Sequence[float], factor: float = 1.0, *, rounded: bool = False
    ) -> bool:
        """Whether one of the known amounts, sorted, times a factor is the amount."""
        reach = self.value * (1.2 * HEDGED if self._hedged else 1.1 * ROUNDED) + 0.5
        at = bisect_left(known, (self.value - reach) / factor)
        while at < len(known) and known[at] * factor <= self.value + reach:
            if self.is_at(known[at] * factor, rounded=rounded):
                return True
            at += 1
        return False

    def is_sum(self, run: Iterable[float]) -> bool:
        """Whether the first two or more of a run add up to the amount."""
        total = 0.0
        for count, value in enumerate(run):
            total += value
            if count and self.is_at(total):
                return True
        return False

    def is_rarely_at(self, found: set[float], chance: float) -> bool:
        """Whether a result equals the amount, and few other equally round amounts are results."""
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


MOST_SEARCHES = 16
"""Searches for sums of products in one answer; an answer has a handful of amounts."""

MOST_PASSES = 4
"""Passes over the amounts: each pass uses what the one before explained."""

FEW_TERMS = 2
"""Up to this many amounts before a total, the total may be that of a tool's longer list."""

MOST_TERMS = 24
MOST_TRIPLED = 12
"""Amounts of which each two, and each three, are added."""

MOST_LINES = 60
MOST_LINES_TRIPLED = 30
"""Products of which each two, and each three, are added."""

CHANCE_NEAR = 0.25
CHANCE_FAR = 0.1
"""A sum of products explains an amount only if such sums make up at most this share of all equally
round amounts near it: for sums of the answer's amounts, and for sums of all known amounts."""


def unexplained_amounts(text: str, sources: Sources) -> list[Amount]:
    """The amounts of an answer that have no source and do not follow from one."""
    return _Search(AnswerAmounts(text), sources).unexplained()


class _Search:
    """The state of the search through one answer."""

    def __init__(self, answer: AnswerAmounts, sources: Sources) -> None:
        self._answer = answer
        self._sources = sources
        self._factors = Factors(answer, sources)
        self._accounted: dict[int, float] = {}
        """The amounts that are explained, by their places."""
        self._as_known: set[int] = set()
        """Those of them that a source states as they are."""
        self._changed: set[int] = set()
        """Those that another amount replaces, by a percentage."""
        self._searches = 0
        self._units: set[int] = set()
        """Unit prices: the answer also has the price of several."""
        self._rate = sources.rate or bool(words.RATE.search(answer.text))

    def unexplained(self) -> list[Amount]:
        """The amounts that have no explanation, or belong to another item."""
        self._units = set(self._find_units())
        rest = list(range(len(self._answer.stated)))
        for _ in range(MOST_PASSES):
            left = [place for place in rest if not self._is_explained(place)]
            if len(left) == len(rest):
                break
            rest = left
        wrong = {*rest, *(place for place in self._as_known if self._is_of_another(place))}
        return [self._answer.stated[place] for place in sorted(wrong)]

    def _is_explained(self, place: int) -> bool:
        if why := self.explanation(place):
            self._accounted[place] = self._answer.stated[place].value
            if why == "stated":
                self._as_known.add(place)
            else:
                self._note_changed(place)
        return bool(why)

    def _note_changed(self, place: int) -> None:
        """Note the earlier amounts that this one replaces, with a percentage added or taken off."""
        goal = Goal(self._answer.stated[place].value, hedged=False)
        changes = [change for change in self._factors.changes(place) if change > 0.5]
        for earlier in range(max(0, place - 3), place):
            value = self._answer.stated[earlier].value
            if any(goal.is_at(value * change, rounded=True) for change in changes):
                self._changed.add(earlier)

    def explanation(self, place: int) -> str:
        """The kind of explanation of an amount, in one word; empty if there is none."""
        goal = Goal(self._answer.stated[place].value, hedged=self._answer.is_hedged(place))
        product = self._answer.product_before(place)
        if product:
            return "product" if goal.is_at(product) else ""
        terms = [p for p in self._terms(before=place) if not self._answer.is_former(p)]
        total = self._answer.is_total(place, terms)
        ways: list[tuple[str, Callable[[], bool]]] = [
            ("stated", lambda: goal.is_near(self._sources.known, rounded=True)),
            ("run", lambda: self._is_run(place, goal)),
            ("scaled", lambda: self._is_scaled(place, goal)),
            ("difference", lambda: self._is_difference(place, goal)),
        ]
        if len(terms) <= FEW_TERMS or not total:
            ways.append(("list", lambda: goal.is_near(self._sources.columns)))
        if not total:  # a total of less than all amounts before it is wrong
            ways += [
                ("sum", lambda: self._is_sum(place, goal)),
                ("converted", lambda: self._rate and self._is_converted(goal)),
            ]
        ways.append(("products", lambda: self._is_sum_of_products(place, goal, total=total)))
        return next((name for name, explains in ways if explains()), "")

    def _is_scaled(self, place: int, goal: Goal) -> bool:
        """A known amount times or divided by a quantity, or changed by a percentage."""
        counts, few = self._factors.factors(place)
        bases = sorted({*self._sources.bases, *self._accounted.values()})
        return (
            any(goal.is_near(bases, factor, rounded=factor < 1) for factor in counts)
            or any(goal.is_near(bases, 1 / n, rounded=True) for n in counts if n > 1)
            or any(
                goal.is_near(bases, change * factor, rounded=True)
                for change in self._factors.changes(place)
                for n in few
                for factor in {n, 1 / n}
            )
        )

    # -- sums and differences ----------------------------------------------------------------------

    def _find_units(self) -> Iterator[int]:
        """The places of unit prices beside which the answer has the price of several."""
        stated = self._answer.stated
        for place, amount in enumerate(stated):
            if Goal(amount.value, hedged=False).is_near(self._sources.known):
                continue
            local, elsewhere = self._factors.counts(place)
            counts = {q.count for q in (*local, *elsewhere) if q.count >= 2 or q.count == 0.5}
            beside = [*range(place - 1, place - 4, -1), *range(place + 1, place + 4)]
            for other in beside:
                if 0 <= other < len(stated) and (
                    round(amount.value / stated[other].value, 6) in counts
                ):
                    yield other
                    break

    def _terms(self, *, before: int = MOST_AMOUNTS, after: int = -1) -> list[int]:
        """The places of amounts that a sum may contain: all but unit prices."""
        return [
            place
            for place in sorted(self._accounted)
            if after < place < before and place not in self._units
        ]

    def _unit_prices(self) -> set[float]:
        """The unit prices, unless something else costs as much."""
        others = {value for place, value in self._accounted.items() if place not in self._units}
        return {self._answer.stated[place].value for place in self._units} - others

    def _is_run(self, place: int, goal: Goal) -> bool:
        """The sum of the amounts right before it, or right after it.

        Amounts that the customer named or that no longer apply are left out. It is tried again
        without replaced amounts, without unit prices, and without what is in brackets.
        """
        answer, asked = self._answer, self._sources.asked
        for places in (self._terms(before=place)[::-1], self._terms(after=place)):
            held = [
                p for p in places if not answer.is_former(p) and answer.stated[p].value not in asked
            ]
            for kept in (
                held,
                [p for p in held if p not in self._changed],
                [p for p in held if not answer.is_each(p)],
                [p for p in held if not answer.is_in_brackets(p)],
            ):
                if goal.is_sum([self._accounted[p] for p in kept]):
                    return True
        return False

    def _is_sum(self, place: int, goal: Goal) -> bool:
        """The sum of two or three amounts, one of them times a quantity of the sentence."""
        each = self._answer.is_each(place)
        places = [p for p in self._terms() if each or not self._answer.is_each(p)]
        terms = sorted({self._accounted[p] for p in places})[:MOST_TERMS]
        stated = sorted(set(self._accounted.values()))[:MOST_TERMS]
        known = sorted({*terms, *self._sources.bases} - self._unit_prices())[:MOST_BASES]
        counts = {q.count for q in self._factors.counts(place)[0]}
        return (
            any(goal.is_at(a + b) for a in terms for b in known if a != b)
            or any(goal.is_at(a + n * b) for a in terms for b in stated for n in counts if a != b)
            or any(goal.is_at(sum(three)) for three in combinations(terms[:MOST_TRIPLED], 3))
        )

    def _is_difference(self, place: int, goal: Goal) -> bool:
        """The rest of an amount, or of two together, where the words beside it say so."""
        if not self._answer.speaks_of_difference(place):
            return False
        terms = sorted(set(self._accounted.values()))[:MOST_TRIPLED]
        known = sorted({*terms, *self._sources.bases})[:MOST_BASES]
        return any(goal.is_at(b - a) for a, b in combinations(known, 2)) or any(
            goal.is_at(a + b - c) for a, b in combinations(terms, 2) for c in terms
        )

    def _is_converted(self, goal: Goal) -> bool:
        """An amount in another currency: a product or quotient of two known amounts."""
        known = sorted({*self._accounted.values(), *self._sources.bases})[:MOST_BASES]
        loose = Goal(goal.value, hedged=True)
        return any(loose.is_at(a * b) or loose.is_at(b / a) for a, b in combinations(known, 2) if a)

    def _is_sum_of_products(self, place: int, goal: Goal, *, total: bool) -> bool:
        """The sum of up to three amounts, each times a quantity, if that is more than chance.

        First amounts of the answer, then all known ones; first with the quantities of the
        sentence, then with those of the conversation. ``total``: one term must be a product.
        """
        if self._searches >= MOST_SEARCHES:
            return False
        self._searches += 1
        stated = set(self._accounted.values())
        known = {*stated, *self._sources.bases, *self._sources.columns}
        units = self._unit_prices()
        few, more = self._factors.few(place)
        whole = [count for count in more if count == int(count)]
        differs = self._answer.speaks_of_difference(place)
        several = self._answer.speaks_of_several(place)
        return any(
            goal.is_rarely_at(_sums(amounts - units, counts, differs, total), chance)
            for amounts, counts, chance in (
                (stated, few, CHANCE_NEAR),
                (known if several else stated, (), CHANCE_NEAR),
                (stated, whole, CHANCE_NEAR),
                (known, few, CHANCE_FAR),
                (known, more, CHANCE_FAR / 2),
            )
        )

    # -- whose price it is -------------------------------------------------------------------------

    def _is_of_another(self, place: int) -> bool:
        """Whether a stated amount is the price of another item, or an earlier price."""
        value, sources = self._answer.stated[place].value, self._sources
        before, after = self._answer.label(place)
        named = owner(before, sources.items)
        if named is None or value in named.prices or words.FORMER.search(before):
            return False
        if value in sources.former:
            return not named.prices & {stated.value for stated in self._answer.stated}
        return is_of_another(value, named, f"{before} {after}", sources.items)


def _sums(
    amounts: Collection[float],
    counts: Sequence[float],
    differs: bool,  # noqa: FBT001 - private, named at its only call
    repeated: bool,  # noqa: FBT001
) -> set[float]:
    """Sums of two or three of the amounts, each times a count, and differences of two.

    Without counts: of two amounts as they are. ``differs``: differences of products too.
    ``repeated``: at least one term must be a product.
    """
    few = counts or (1.0,)
    lines = [(amount, count) for amount in sorted(amounts)[:MOST_TERMS] for count in few]
    lines = lines[:MOST_LINES]
    found: set[float] = set()
    for size in (2, 3) if counts and len(lines) <= MOST_LINES_TRIPLED else (2,):
        for terms in combinations(lines, size):
            if len({amount for amount, _ in terms}) < size:
                continue
            is_plain = all(count == 1 for _, count in terms)
            if repeated and is_plain:
                continue
            values = [amount * count for amount, count in terms]
            found.add(sum(values))
            if size == 2 and (differs or is_plain):
                found.add(abs(values[0] - values[1]))
    return found
