"""Growth curves and courses over time as small SVG files that suit a light and a dark page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 44, 48
"""Room round the drawing: for the scale, the names of the lines, the title, the other scale."""

STYLE = """
svg { --ink: #1f2328; --faint: #d0d7de; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --faint: #30363d; --c0: #58a6ff; --c1: #f0883e; --c2: #56d364; }
}
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 14px; font-weight: 600; }
.grid { stroke: var(--faint); stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
"""

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    name: str
    points: Sequence[tuple[float, float]]


def growth(title: str, x_title: str, y_title: str, lines: Sequence[Line]) -> str:
    """Draw curves with both scales logarithmic; values of 0 or less are left out."""
    shown = [Line(n.name, [(x, y) for x, y in n.points if x > 0 and y > 0]) for n in lines]
    xs = [x for line in shown for x, _ in line.points] or [1]
    ys = [y for line in shown for _, y in line.points] or [1]
    x_ticks, y_ticks = _decades(min(xs), max(xs)), _decades(min(ys), max(ys))
    across = _scale(math.log10(x_ticks[0]), math.log10(x_ticks[-1]), LEFT, WIDTH - RIGHT)
    upwards = _scale(math.log10(y_ticks[0]), math.log10(y_ticks[-1]), HEIGHT - BOTTOM, TOP)
    return _drawing(
        (title, x_title, y_title),
        shown,
        ticks=(x_ticks, y_ticks),
        scales=(lambda x: across(math.log10(x)), lambda y: upwards(math.log10(y))),
        dots=True,
    )


def course(title: str, x_title: str, y_title: str, lines: Sequence[Line]) -> str:
    """Draw curves with even scales, the upright one from 0."""
    xs = [x for line in lines for x, _ in line.points] or [1]
    ys = [y for line in lines for _, y in line.points] or [1]
    x_ticks, y_ticks = _even(max(xs)), _even(max(ys))
    across = _scale(0, x_ticks[-1], LEFT, WIDTH - RIGHT)
    upwards = _scale(0, y_ticks[-1], HEIGHT - BOTTOM, TOP)
    return _drawing(
        (title, x_title, y_title), lines, ticks=(x_ticks, y_ticks), scales=(across, upwards)
    )


def _drawing(
    titles: tuple[str, str, str],
    lines: Sequence[Line],
    *,
    ticks: tuple[Sequence[float], Sequence[float]],
    scales: tuple[Scale, Scale],
    dots: bool = False,
) -> str:
    across, upwards = scales
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(titles[0])}</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 22, titles[0], "start", "title"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, titles[1], "middle"),
        _text(LEFT, TOP - 8, titles[2], "start"),
    ]
    for tick in ticks[0]:
        x = across(tick)
        parts.append(_grid(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 16, _shown(tick), "middle"))
    for tick in ticks[1]:
        y = upwards(tick)
        parts.append(_grid(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 8, y + 4, _shown(tick), "end"))
    ends = _apart([upwards(line.points[-1][1]) if line.points else 0 for line in lines])
    for number, line in enumerate(lines):
        if line.points:
            places = [(across(x), upwards(y)) for x, y in line.points]
            parts += _curve(places, f"var(--c{number % 3})", dots=dots)
            parts.append(_text(places[-1][0] + 9, ends[number] + 4, line.name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _curve(places: Sequence[tuple[float, float]], colour: str, *, dots: bool) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="line" stroke="{colour}" points="{path}"/>']
    if dots:
        parts += [f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
    return parts


def _apart(places: Sequence[float], least: float = 15) -> list[float]:
    """Move heights of words apart where they would cover each other; keeps their order."""
    moved = list(places)
    order = sorted(range(len(moved)), key=lambda number: moved[number])
    for upper, lower in pairwise(order):
        moved[lower] = max(moved[lower], moved[upper] + least)
    return moved


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)


def _decades(low: float, high: float) -> list[float]:
    first = math.floor(math.log10(low) + 1e-9)
    last = max(first + 1, math.ceil(math.log10(high) - 1e-9))
    return [10.0**power for power in range(first, last + 1)]


def _even(high: float) -> list[float]:
    """Five steps or so of a round size, from 0 to `high` or beyond."""
    rough = max(high, 1e-9) / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or not value else f"{value:g}"
