"""The amounts of an answer, and what the words around them say. Pure."""

from bisect import bisect_left

from daemon.domain.validation import amount_words as words
from daemon.domain.validation.amount_sources import Amount, amounts_of
from daemon.domain.validation.figures import figures
from daemon.domain.validation.quantities import Quantity, quantities

MOST_AMOUNTS = 80
"""Of one answer that are looked at."""

SENTENCE_BEFORE = 300
SENTENCE_AFTER = 200
"""Characters before and after an amount that count as its sentence, however long that is."""

_HEDGE_REACH = 24
_FORMER_REACH = 16
_BRACKET_REACH = 60
"""Characters before an amount in which such a word or sign is looked for."""


class AnswerAmounts:
    """An answer with its amounts in order; an amount is named by its place among them."""

    def __init__(self, text: str) -> None:
        found = list(figures(text))
        self.text = text
        self.stated = list(amounts_of(found))[:MOST_AMOUNTS]
        self.quantities: list[Quantity] = quantities(text, found)
        """What the whole answer counts."""
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
        """The words of the sentence before an amount and after the one before it; and after it.

        The latter end where something else begins.
        """
        amount: Amount = self.stated[place]
        start, end = self.bounds(place)
        earlier = self.stated[place - 1].end if place else 0
        if place + 1 < len(self.stated):
            end = min(end, self.stated[place + 1].start)
        after = words.LABEL_END.split(self.text[amount.end : end], maxsplit=1)[0]
        return self.text[max(start, earlier) : amount.start], after

    def product_before(self, place: int) -> float:
        """What a multiplication comes to that stands before an amount: ``3 x $14 =``; else 0."""
        if not place or not words.EQUALS.search(self.before(place)):
            return 0.0
        price = self.stated[place - 1]
        between = self.text[price.end : self.stated[place].start]
        if times := words.TIMES_AFTER.match(between):
            return price.value * int(times[1]) if words.EQUALS.match(between, times.end()) else 0.0
        times = words.TIMES.search(self.before(place - 1))
        return price.value * int(times[1]) if times and words.EQUALS.match(between) else 0.0

    def is_hedged(self, place: int) -> bool:
        """Whether it is said to be about so much."""
        return bool(words.HEDGE.search(self.before(place, _HEDGE_REACH)))

    def is_each(self, place: int) -> bool:
        """Whether it is said to be the price of one."""
        return bool(words.EACH.match(self.after(place)))

    def is_former(self, place: int) -> bool:
        """Whether it is said to hold no more."""
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
        """Whether it is called the total of amounts before it; ``terms`` are those it may have."""
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
