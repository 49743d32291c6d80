"""Small charts as SVG, drawn here: they are in the first paint, take a theme, and weigh nothing.

Pure. A chart has a point for each part of the time shown; None where there are no figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor

from daemon.domain.dashboard_values import SECONDS_SHOWN, Sample

POINTS = 24
"""Hours of a day."""
BAR_SHARE = 0.72
"""Of a point's room, for its bar."""
WIDTH, HEIGHT = 240.0, 56.0
TOP = 4.0
"""Room above the highest point for the line's own width."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template needs to draw one."""

    line: str
    """The path of the line; empty if there is nothing to draw."""
    area: str
    """The path of what is below it."""
    bars: tuple[tuple[float, float, float], ...]
    """Left edge, top and height of each bar."""
    bar_width: float
    points: tuple[tuple[float, float | None], ...]
    """When each part of the time began, and its value."""


def parts_of_day(samples: Sequence[Sample], now: float) -> list[list[Sample]]:
    """Sort samples into POINTS parts of the time shown, the newest last."""
    length = SECONDS_SHOWN / POINTS
    first = now - SECONDS_SHOWN
    parts: list[list[Sample]] = [[] for _ in range(POINTS)]
    for sample in samples:
        # The interval under way ends now, which belongs to the newest part.
        place = POINTS - 1 if sample.at == now else floor((sample.at - first) / length)
        if 0 <= place < POINTS:
            parts[place].append(sample)
    return parts


def series(
    parts: Sequence[Sequence[Sample]], value: Callable[[Sequence[Sample]], float | None]
) -> list[float | None]:
    """The value of each part that has samples."""
    return [value(part) if part else None for part in parts]


def percentile(
    samples: Sequence[Sequence[int]], ends: Sequence[float], share: float
) -> float | None:
    """The time within which `share` of what was counted lies, from the counts by bucket.

    Between a bucket's ends it is interpolated, as Prometheus does; None if nothing was counted.
    """
    sums: list[int] = [sum(column) for column in zip(*samples, strict=True)] if samples else []
    total = sum(sums)
    if not total:
        return None
    wanted, below = share * total, 0
    for place, count in enumerate(sums):
        if count and below + count >= wanted:
            if place >= len(ends):
                break
            start = ends[place - 1] if place else 0.0
            return start + (ends[place] - start) * (wanted - below) / count
        below += count
    return ends[-1]


def draw(values: Sequence[float | None], now: float) -> Chart:
    """Draw a line and bars of the same values, from 0 up to the highest of them."""
    highest = max((value for value in values if value is not None), default=0) or 1.0
    step = WIDTH / len(values)
    length = SECONDS_SHOWN / len(values)
    first = now - SECONDS_SHOWN
    spots = [
        None
        if value is None
        else ((place + 0.5) * step, TOP + (HEIGHT - TOP) * (1 - value / highest))
        for place, value in enumerate(values)
    ]
    runs = _runs(spots)
    bars = tuple(
        (
            spot[0] - step * BAR_SHARE / 2,
            min(spot[1], HEIGHT - 1.5),
            HEIGHT - min(spot[1], HEIGHT - 1.5),
        )
        for spot, value in zip(spots, values, strict=True)
        if spot is not None and value
    )
    return Chart(
        line=" ".join(_path(run) for run in runs),
        area=" ".join(
            f"{_path(run)} V{HEIGHT:.0f} H{run[0][0]:.1f} Z" for run in runs if len(run) > 1
        ),
        bars=bars,
        bar_width=step * BAR_SHARE,
        points=tuple((first + place * length, value) for place, value in enumerate(values)),
    )


def _runs(spots: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Spots without a gap between them, together."""
    runs: list[list[tuple[float, float]]] = [[]]
    for spot in spots:
        if spot is not None:
            runs[-1].append(spot)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(run: Sequence[tuple[float, float]]) -> str:
    if len(run) == 1:  # a lone spot gets the length of a bar, so that it is seen
        x, y = run[0]
        length = WIDTH / POINTS * BAR_SHARE
        return f"M{x - length / 2:.1f} {y:.1f} h{length:.1f}"
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run)
