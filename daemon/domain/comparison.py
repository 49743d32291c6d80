"""Two versions compared by their enquiries: figures with the interval in which they lie. Pure.

Shares have Wilson's interval, their difference Newcombe's (Newcombe 1998, method 10). Means have a
bootstrap interval of the percentiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

Z = 1.959964
"""Of 95 %, two-sided."""

SHARE = 0.95

MARKS = ("old", "new", "neither")
"""What a person may hold to be right in a turn that a candidate has answered too."""

CHOICES = ("changed", "better", "worse", "equal", "failed", "unmarked", "all")
"""By which turns of a comparison can be chosen."""

Resample = Callable[[Sequence[float]], Sequence[float]]
"""Gives as many of some values, drawn at random, each any number of times."""

ROUNDS = 2_000
MOST_DRAWN = 4_000_000
"""Values that are drawn for one mean: of many values there are fewer rounds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and where it lies with 95 %. All are None without data."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure of both versions, and how much more the second has."""

    name: str
    kind: Literal["share", "mean"]
    first: Interval
    second: Interval
    difference: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the difference is larger than what chance would make of it."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


def wilson(count: int, total: int) -> Interval:
    """The interval of a share."""
    if total == 0:
        return Interval()
    share, square = count / total, Z * Z
    scale = 1 + square / total
    middle = (share + square / (2 * total)) / scale
    half = Z / scale * sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def newcombe(first: Interval, second: Interval) -> Interval:
    """The interval of how much larger the second share is; both are Wilson's."""
    one, low, high = first.value, first.low, first.high
    other, other_low, other_high = second.value, second.low, second.high
    if one is None or low is None or high is None:
        return Interval()
    if other is None or other_low is None or other_high is None:
        return Interval()
    value = other - one
    return Interval(
        value,
        value - sqrt((other - other_low) ** 2 + (high - one) ** 2),
        value + sqrt((other_high - other) ** 2 + (one - low) ** 2),
    )


def bootstrap(values: Sequence[float], resample: Resample) -> Interval:
    """The interval of a mean."""
    if not values:
        return Interval()
    return _percentiles(_mean(values), _means(values, _rounds(values), resample))


def bootstrap_difference(
    first: Sequence[float], second: Sequence[float], resample: Resample
) -> Interval:
    """The interval of how much larger the second mean is."""
    if not first or not second:
        return Interval()
    rounds = min(_rounds(first), _rounds(second))
    pairs = zip(_means(first, rounds, resample), _means(second, rounds, resample), strict=True)
    return _percentiles(_mean(second) - _mean(first), [other - one for one, other in pairs])


def share_line(name: str, first: tuple[int, int], second: tuple[int, int]) -> Line:
    """A share of both: each as a count and the total."""
    one, other = wilson(*first), wilson(*second)
    return Line(name=name, kind="share", first=one, second=other, difference=newcombe(one, other))


def mean_line(
    name: str, first: Sequence[float], second: Sequence[float], resample: Resample
) -> Line:
    """A mean of both."""
    return Line(
        name=name,
        kind="mean",
        first=bootstrap(first, resample),
        second=bootstrap(second, resample),
        difference=bootstrap_difference(first, second, resample),
    )


def _rounds(values: Sequence[float]) -> int:
    return max(200, min(ROUNDS, MOST_DRAWN // len(values)))


def _means(values: Sequence[float], rounds: int, resample: Resample) -> list[float]:
    return [_mean(resample(values)) for _ in range(rounds)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _percentiles(value: float, means: list[float]) -> Interval:
    in_order = sorted(means)
    edge, last = (1 - SHARE) / 2, len(in_order) - 1
    return Interval(value, in_order[int(edge * last)], in_order[round((1 - edge) * last)])
