"""What the prices of an answer may be multiplied with: quantities, and what percentages make.

Pure. The quantities of an amount's own sentence come first; those of elsewhere count if they do not
contradict them, and what contradicts the customer counts nowhere.
"""

from collections.abc import Iterator

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.amount_sources import Sources
from daemon.domain.validation.answer_amounts import AnswerAmounts
from daemon.domain.validation.figures import figures
from daemon.domain.validation.quantities import (
    ADDITIONAL,
    PER,
    Quantity,
    is_of_rate,
    quantities,
    shares,
)
from daemon.domain.validation.time_spans import BOTH_ENDS

DAYS_OF_MONTH = 30
"""Of a month that is charged by the day."""

MOST_FACTORS = 400
"""Quantities, and products of two, that an amount is divided by."""

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
        """The quantities of a sentence, and those of elsewhere that do not contradict them."""
        if place not in self._counted:
            self._counted[place] = self._read_counts(place)
        return self._counted[place]

    def _read_counts(self, place: int) -> tuple[set[Quantity], set[Quantity]]:
        heard = self._sources.heard
        known = heard | self._sources.given
        asked = {q.unit for q in heard if q.unit and q.count > 1 and not is_of_rate(q, heard)}
        if words.ADDITIONAL.search(self._answer.text):
            known |= {Quantity(q.count - 1, ADDITIONAL) for q in heard if q.count > 2}

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
        """What a price may be multiplied with: all of it, and what percentages may come to it."""
        heard = self._sources.heard
        local, elsewhere = self.counts(place)
        near = local | {q for q in elsewhere if q in heard}
        wanted = {q.count for q in heard} - {1.0}
        counts = {q.count for q in local}
        if wanted & counts:  # the sentence is about what the customer wants so many of
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
        """What percentages make of a price: those of the sentence, or else of everything."""
        sentence = self._answer.sentence(place)
        parts = shares(sentence, list(figures(sentence)))
        if not parts:
            parts = {*self._sources.shares, *shares(self._answer.text, self._answer.figures)}
        for part in parts:
            yield from (part, 1 + part, 1 / (1 + part))
            if part < 1:
                yield 1 - part

    def few(self, place: int) -> tuple[list[float], list[float]]:
        """Quantities for sums: those of the sentence, then with those of the whole conversation."""
        local, elsewhere = self.counts(place)
        heard, own = self._sources.heard, self._answer.quantities
        near = {q.count for q in (*local, *elsewhere) if q in local or q.unit == ADDITIONAL}
        asked = {q.count for q in elsewhere if q in heard or q in own}
        few = list(dict.fromkeys([1.0, *sorted(near)]))
        more = list(dict.fromkeys([*few, *sorted(asked)]))
        return few[:MOST_COUNTS], more[:MOST_COUNTS]
