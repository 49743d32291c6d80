"""Small sums over measured values, and how they are written in tables."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least that share of the values do not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0


class Trend(NamedTuple):
    """How much y grows for each x, and by how much that may be wrong (95%)."""

    slope: float
    error: float


T_95 = 2.23
"""Student's t for ten degrees of freedom, two-sided, which twelve points leave."""


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """Fit a line by least squares; no slope, and no bound of its error, for fewer than three."""
    if len(points) < 3:
        return Trend(0, math.inf)
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    left = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in points)
    return Trend(slope, T_95 * math.sqrt(left / (len(points) - 2) / spread))


def middle(values: Iterable[float]) -> float:
    """The median; 0 if there are no values."""
    known = list(values)
    return median(known) if known else 0


def row(cells: Iterable[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join([row(heads), row(rule), *(row(cells) for cells in rows)])


def spread_of(values: Sequence[float], form: str) -> str:
    """The median, with the least and the greatest in brackets where there are several."""
    if len(values) < 2:
        return format(middle(values), form)
    low, high = format(min(values), form), format(max(values), form)
    return f"{format(middle(values), form)} ({low} to {high})"


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def mb(amount: float) -> str:
    """Bytes as megabytes."""
    return f"{amount / 1e6:,.0f}"
