"""The amounts of an answer: the words around them, and what they may be multiplied by. Pure.

The quantities of an amount's own sentence come first. Quantities from elsewhere count if they do
not contradict them, and a quantity that contradicts the customer counts nowhere.
"""

from bisect import bisect_left
from collections.abc import Iterator

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.amount_sources import Amount, Sources, amounts_of
from daemon.domain.validation.figures import figures
from daemon.domain.validation.number_words import BOTH_ENDS
from daemon.domain.validation.quantities import (
    ADDITIONAL,
    PER,
    Quantity,
    is_of_rate,
    quantities,
    shares,
)

MOST_AMOUNTS = 80
"""Of one answer; later ones are not checked."""

SENTENCE_BEFORE = 300
SENTENCE_AFTER = 200
"""At most this many characters before and after an amount count as its sentence."""

_HEDGE_REACH = 24
_FORMER_REACH = 16
_BRACKET_REACH = 60
"""Characters before an amount that are searched for such a word or sign."""


class AnswerAmounts:
    """An answer with its amounts in order; an amount is identified by its place among them."""

    def __init__(self, text: str) -> None:
        found = list(figures(text))
        self.text = text
        self.stated = list(amounts_of(found))[:MOST_AMOUNTS]
        self.quantities: list[Quantity] = quantities(text, found)
        """The quantities of the whole answer."""
        self.figures = found
        self._ends = [match.end() for match in words.SENTENCE_END.finditer(text)]

    def bounds(self, place: int) -> tuple[int, int]:
        """Where the sentence of an amount begins and ends."""
        amount = self.stated[place]
        at = bisect_left(self._ends, amount.start + 1)
        later = bisect_left(self._ends, amount.end)
        start = self._ends[at - 1] if at else 0
        end = self._ends[later] if later < len(self._ends) else len(self.text)
        return max(start, amount.start - SENTENCE_BEFORE), min(end, amount.end + SENTENCE_AFTER)

    def sentence(self, place: int) -> str:
        """The sentence of an amount."""
        start, end = self.bounds(place)
        return self.text[start:end]

    def before(self, place: int, reach: int = words.BEFORE) -> str:
        """The characters before an amount."""
        start = self.stated[place].start
        return self.text[max(0, start - reach) : start]

    def after(self, place: int) -> str:
        """The characters after an amount."""
        end = self.stated[place].end
        return self.text[end : end + words.AFTER]

    def label(self, place: int) -> tuple[str, str]:
        """The words of the sentence between the amount before and this one, and those after it.

        The words after it end where another clause begins.
        """
        amount: Amount = self.stated[place]
        start, end = self.bounds(place)
        earlier = self.stated[place - 1].end if place else 0
        if place + 1 < len(self.stated):
            end = min(end, self.stated[place + 1].start)
        after = words.LABEL_END.split(self.text[amount.end : end], maxsplit=1)[0]
        return self.text[max(start, earlier) : amount.start], after

    def product_before(self, place: int) -> float:
        """The product written before an amount, as in ``3 x $14 =``; 0 without one."""
        if not place or not words.EQUALS.search(self.before(place)):
            return 0.0
        price = self.stated[place - 1]
        between = self.text[price.end : self.stated[place].start]
        if times := words.TIMES_AFTER.match(between):
            return price.value * int(times[1]) if words.EQUALS.match(between, times.end()) else 0.0
        times = words.TIMES.search(self.before(place - 1))
        return price.value * int(times[1]) if times and words.EQUALS.match(between) else 0.0

    def is_hedged(self, place: int) -> bool:
        """Whether it is marked as approximate."""
        return bool(words.HEDGE.search(self.before(place, _HEDGE_REACH)))

    def is_each(self, place: int) -> bool:
        """Whether it is marked as the price of one."""
        return bool(words.EACH.match(self.after(place)))

    def is_former(self, place: int) -> bool:
        """Whether it is marked as no longer valid."""
        return bool(words.FORMER.search(self.before(place, _FORMER_REACH)))

    def is_in_brackets(self, place: int) -> bool:
        """Whether a bracket before it, of the same line, is still open."""
        line = self.before(place, _BRACKET_REACH).rpartition("\n")[2]
        return line.count("(") > line.count(")")

    def speaks_of_difference(self, place: int) -> bool:
        """Whether the words beside it say that something is taken off, left or saved."""
        return bool(
            words.DIFFERENCE.search(self.before(place))
            or words.DIFFERENCE.search(self.after(place))
        )

    def speaks_of_several(self, place: int) -> bool:
        """Whether the words before it say that it is for things together."""
        return bool(words.TOGETHER.search(self.before(place)))

    def is_total(self, place: int, terms: list[int]) -> bool:
        """Whether it is called a total; ``terms``: the amounts before it that may belong to it."""
        before = self.before(place)
        if words.BETWEEN.search(before):
            return False
        if words.TOTAL.search(before) or words.TOTAL_AFTER.match(self.after(place)):
            return len(terms) > 1
        start, _ = self.bounds(place)
        near = sum(self.stated[term].start >= start for term in terms)
        if words.RESULT.search(before):
            return near > 1
        return bool(words.COMES_TO.search(before)) and near == len(terms) == 2


# -- factors ---------------------------------------------------------------------------------------


DAYS_OF_MONTH = 30
"""Of a month that is billed by the day."""

MOST_FACTORS = 400
"""Quantities, and products of two, that are tried as factors."""

MOST_COUNTS = 8
"""Quantities in a sum of products."""


class Factors:
    """The factors of the amounts of one answer, by their places."""

    def __init__(self, answer: AnswerAmounts, sources: Sources) -> None:
        self._answer = answer
        self._sources = sources
        self._counted: dict[int, tuple[set[Quantity], set[Quantity]]] = {}
        self._monthly = sources.monthly or bool(words.MONTHLY.search(answer.text))
        self._lodging = sources.lodging or bool(words.LODGING.search(answer.text))

    def counts(self, place: int) -> tuple[set[Quantity], set[Quantity]]:
        """The quantities of a sentence, and those from elsewhere that do not contradict them."""
        if place not in self._counted:
            self._counted[place] = self._read_counts(place)
        return self._counted[place]

    def _read_counts(self, place: int) -> tuple[set[Quantity], set[Quantity]]:
        inbound = self._sources.inbound
        known = inbound | self._sources.given
        asked = {q.unit for q in inbound if q.unit and q.count > 1 and not is_of_rate(q, inbound)}
        if words.ADDITIONAL.search(self._answer.text):
            known |= {Quantity(q.count - 1, ADDITIONAL) for q in inbound if q.count > 2}

        def is_believed(quantity: Quantity) -> bool:
            return quantity.unit not in asked or quantity in known

        sentence = self._answer.sentence(place)
        local = {q for q in quantities(sentence, list(figures(sentence))) if is_believed(q)}
        units = {q.unit for q in local if q.unit}
        if self._lodging or "day" in units:
            units.add(BOTH_ENDS)
        elsewhere = {q for q in (*known, *self._answer.quantities) if is_believed(q)}
        return local, {q for q in elsewhere if q.unit not in {*units, PER}}

    def factors(self, place: int) -> tuple[set[float], set[float]]:
        """The factors that a price may be multiplied by: alone, and with a percentage."""
        inbound = self._sources.inbound
        local, elsewhere = self.counts(place)
        near = local | {q for q in elsewhere if q in inbound}
        wanted = {q.count for q in inbound} - {1.0}
        counts = {q.count for q in local}
        if wanted & counts:  # the sentence has a quantity that the customer asked for
            products = {a * q.count for a in counts for q in local | elsewhere if a != q.count}
        else:
            counts |= {q.count for q in elsewhere}
            products = {
                a.count * b.count
                for a in near
                for b in local | elsewhere
                if a.unit != b.unit and a.count != b.count
            }
        ratios = {
            a.count / b.count
            for a in near
            for b in self._sources.given
            if b.unit == PER and a.count > b.count and a.count % b.count == 0
        }
        if self._monthly:
            ratios |= {q.count / DAYS_OF_MONTH for q in local if q.unit == "day"}
        # "2 desayunos x 2 días": the same number of two things
        twice = {a.count**2 for a in local for b in local if a.count == b.count and a.unit > b.unit}
        whole = sorted(counts | products | ratios | twice)[:MOST_FACTORS]
        return {*whole, 1.0}, {1.0, *(q.count for q in near)}

    def changes(self, place: int) -> Iterator[float]:
        """The factors by which percentages change a price: the sentence's own, else all known."""
        sentence = self._answer.sentence(place)
        parts = shares(sentence, list(figures(sentence)))
        if not parts:
            parts = {*self._sources.shares, *shares(self._answer.text, self._answer.figures)}
        for part in parts:
            yield from (part, 1 + part, 1 / (1 + part))
            if part < 1:
                yield 1 - part

    def few(self, place: int) -> tuple[list[float], list[float]]:
        """Quantities for sums: those of the sentence, and those with the conversation's added."""
        local, elsewhere = self.counts(place)
        inbound, own = self._sources.inbound, self._answer.quantities
        near = {q.count for q in (*local, *elsewhere) if q in local or q.unit == ADDITIONAL}
        asked = {q.count for q in elsewhere if q in inbound or q in own}
        few = list(dict.fromkeys([1.0, *sorted(near)]))
        more = list(dict.fromkeys([*few, *sorted(asked)]))
        return few[:MOST_COUNTS], more[:MOST_COUNTS]
