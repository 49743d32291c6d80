"""An amount that is looked for among what others come to: exactly, rounded, or by chance. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

EXACT = 0.006
"""Half a cent, and what floating point adds to it."""

ROUNDED = 0.001
"""How far, of a result, a rounded amount may be from it."""

HEDGED = 0.05
"""The same for ``unos $90.000``, ``about $90``."""


class Goal:
    """An amount that is looked for."""

    def __init__(self, value: float, *, hedged: bool) -> None:
        self.value = value
        self._hedged = hedged
        self._step = _roundness(value)

    def is_at(self, found: float, *, rounded: bool = False) -> bool:
        """Whether a result is the amount, exactly.

        ``rounded``, or for an amount that is said to be about so much: or as it is rounded.
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
