"""Keeps the log readable when one thing happens again and again. Pure: time is a parameter.

A limited number of lines of each kind is written in a period; the rest is counted, and the count is
logged at the end of the period.
"""

from dataclasses import dataclass
from typing import NamedTuple

PERIOD_SECONDS = 60.0

MAX_KEYS = 200
"""Kinds counted at the same time; further ones share one count."""

OTHERS = "(others)"


class Repeated(NamedTuple):
    """Lines of one kind that were left out."""

    key: str
    lines: int


@dataclass(slots=True)
class _Count:
    begun: float
    written: int = 0
    left_out: int = 0


class Noise:
    """The counts of the current periods. Not thread-safe."""

    def __init__(self, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._period = period_seconds
        self._counts: dict[str, _Count] = {}
        self._next_end = float("inf")
        self._last = float("-inf")

    def admits(self, key: str, *, limit: int, now: float) -> bool:
        """Decide whether a line is written, if ``limit`` lines of its kind are allowed in a period.

        Call `ended` first, so that the count of a past period is not lost. ``now`` is in seconds
        on any clock; a clock that is set back starts new periods.
        """
        self._last = now
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= MAX_KEYS:
                key = OTHERS
            count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(begun=now)
            self._next_end = min(self._next_end, now + self._period)
        if count.written < limit:
            count.written += 1
            return True
        count.left_out += 1
        return False

    @property
    def counts(self) -> bool:
        """True while there is a period that could end. Any thread may call it."""
        return bool(self._counts)

    def ended(self, now: float) -> list[Repeated]:
        """Close the periods that are over and return what they left out."""
        forward, self._last = now >= self._last, now
        if forward and now < self._next_end:
            return []
        over = {
            key: count
            for key, count in self._counts.items()
            if not count.begun <= now < count.begun + self._period
        }
        for key in over:
            del self._counts[key]
        begun = [count.begun for count in self._counts.values()]
        self._next_end = min(begun, default=float("inf")) + self._period
        return [Repeated(key, count.left_out) for key, count in over.items() if count.left_out]

    def end(self) -> list[Repeated]:
        """Close all periods at the end of the log and return what they left out."""
        left = [Repeated(key, count.left_out) for key, count in self._counts.items()]
        self._counts.clear()
        self._next_end = float("inf")
        return [repeated for repeated in left if repeated.lines]
