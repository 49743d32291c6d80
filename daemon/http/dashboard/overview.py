"""The first page: the state of the daemon, and the figures of the last day."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import floor

from quart import Blueprint
from quart.typing import ResponseReturnValue

from daemon.domain.dashboard_values import SECONDS_SHOWN, Overview, Sample
from daemon.http.dashboard.shell import Shell, Wording
from daemon.observability.lines import iso_utc

TROUBLE_SECONDS = 900
"""A message that the bot has not answered for so long is marked, as in ``/health``."""

NOTHING = "\N{EN DASH}"
"""Shown if there is no figure."""


def create_overview(shell: Shell) -> Blueprint:
    """Return the routes of the overview and of its figures."""
    overview = Blueprint("dashboard_overview", __name__)
    overview.before_request(shell.guard.require_sign_in)

    @overview.get("/dashboard")
    @overview.get("/dashboard/")
    async def show() -> ResponseReturnValue:
        now = await shell.operations.state.overview()
        return shell.page(
            "overview.html",
            section="overview",
            now=now,
            cards=cards(now, shell.wording()),
            late=bool(now.oldest_for_bot) and now.at - now.oldest_for_bot > TROUBLE_SECONDS,
            overdue=bool(now.waiting) and now.at - now.waiting_since > now.remind_seconds,
        )

    @overview.get("/dashboard/stats")
    async def stats() -> ResponseReturnValue:
        return figures(await shell.operations.state.overview())

    return overview


def figures(now: Overview) -> dict[str, object]:
    """The overview for programs; times in ISO 8601 and Unix seconds, as named."""
    last_hour = [sample for sample in now.samples if sample.at > now.at - 3600]
    return {
        "timestamp": iso_utc(now.at),
        "startedAt": iso_utc(now.started_at),
        "uptimeSeconds": round(now.at - now.started_at, 1),
        "parts": [asdict(part) for part in now.parts],
        "now": {
            **now.counts,
            "outbox": now.outbox,
            "oldestUnanswered": iso_utc(now.oldest_unanswered) if now.oldest_unanswered else None,
            "waitingForPerson": {
                "chats": now.waiting,
                "oldestSeconds": round(now.at - now.waiting_since) if now.waiting else 0,
            },
        },
        "today": {
            "tokens": now.tokens_today,
            "cost": now.cost_today,
            "tokensLimit": now.tokens_limit,
            "costLimit": now.cost_limit,
        },
        "lastHour": _period(now, last_hour),
        "lastDay": _period(now, now.samples),
        "samples": [
            {
                "at": round(sample.at, 3),
                "messages": sample.messages,
                "answers": sample.answers,
                "tokens": sample.tokens,
                "cost": sample.cost,
                "memoryBytes": sample.memory_bytes,
            }
            for sample in now.samples
        ],
    }


def _period(now: Overview, samples: Sequence[Sample]) -> dict[str, object]:
    counted = ("messages", "answers", "takeovers", "dead")
    return {
        **{name: sum(getattr(sample, name) for sample in samples) for name in counted},
        "acknowledgementP50": _acknowledged(now, samples, 0.5),
        "acknowledgementP99": _acknowledged(now, samples, 0.99),
        "turnP50": _answered(now, samples, 0.5),
        "turnP95": _answered(now, samples, 0.95),
    }


# -- the figures with a chart ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FigureCard:
    """A figure with its chart."""

    id: str
    label: str
    figure: str
    note: str
    chart: "Chart"
    kind: str
    """``bars`` or ``line``."""
    labels: tuple[tuple[str, str], ...]
    """The time and value of each point, as text."""
    peak: str
    """The value at the top of the chart; empty if it shows nothing."""


def cards(now: Overview, w: Wording) -> list[FigureCard]:
    """The figures that have a chart, each as its page shows it."""
    parts = parts_of_day(now.samples, now.at)
    last_hour = [sample for sample in now.samples if sample.at > now.at - 3600]

    def count(name: str, samples: Sequence[Sample]) -> float:
        return float(sum(getattr(sample, name) for sample in samples))

    def card(
        name: str,
        label: str,
        figure: str,
        note: str,
        write: Callable[[float], str],
        *,
        value: Callable[[Sequence[Sample]], float | None] | None = None,
        kind: str = "bars",
    ) -> FigureCard:
        values = [
            (value or (lambda part: count(name, part)))(part) if part else None for part in parts
        ]
        chart = draw(values, now.at)
        labels = tuple(
            (w.clock(at)[:5], NOTHING if point is None else write(point))
            for at, point in chart.points
        )
        highest = max((point for point in values if point is not None), default=0)
        return FigureCard(
            name, label, figure, note, chart, kind, labels, write(highest) if highest else ""
        )

    def in_a_day(name: str) -> str:
        return w.t("{count} in 24 h", count=w.figure(count(name, now.samples)))

    answered, taken = _answered(now, last_hour, 0.95), _acknowledged(now, last_hour, 0.99)
    none = w.t("none in the last hour")
    figures = [
        card(
            "messages",
            w.t("Messages per hour"),
            w.figure(count("messages", last_hour)),
            in_a_day("messages"),
            w.figure,
        ),
        card(
            "answers",
            w.t("Answers per hour"),
            w.figure(count("answers", last_hour)),
            in_a_day("answers"),
            w.figure,
        ),
        card(
            "turn",
            w.t("Time to answer"),
            _span(w, _answered(now, last_hour, 0.5)),
            none if answered is None else w.t("95% within {span}", span=w.span(answered)),
            w.span,
            value=lambda part: _answered(now, part, 0.5),
            kind="line",
        ),
        card(
            "acknowledgement",
            w.t("Time to store a webhook"),
            _span(w, _acknowledged(now, last_hour, 0.5)),
            none if taken is None else w.t("99% within {span}", span=w.span(taken)),
            w.span,
            value=lambda part: _acknowledged(now, part, 0.99),
            kind="line",
        ),
        card(
            "tokens",
            w.t("Tokens today"),
            w.figure(now.tokens_today),
            _limit(w, now.tokens_limit, w.figure),
            w.figure,
        ),
        card(
            "cost",
            w.t("Cost today"),
            w.money(now.cost_today),
            " · ".join(filter(None, (now.currency, _limit(w, now.cost_limit, w.money)))),
            w.money,
        ),
        card(
            "takeovers",
            w.t("Chats taken over"),
            w.figure(count("takeovers", now.samples)),
            w.t("in the last hour: {count}", count=w.figure(count("takeovers", last_hour))),
            w.figure,
        ),
        card(
            "memory",
            w.t("Memory"),
            w.size(now.counts["memoryBytes"]),
            w.t("of the process"),
            w.size,
            value=lambda part: max(sample.memory_bytes for sample in part),
            kind="line",
        ),
    ]
    return [card for card in figures if now.is_priced or card.id != "cost"]


def _limit(w: Wording, limit: float, write: Callable[[float], str]) -> str:
    return w.t("of {limit}", limit=write(limit)) if limit else w.t("no limit")


def _span(w: Wording, seconds: float | None) -> str:
    return NOTHING if seconds is None else w.span(seconds)


def _answered(now: Overview, samples: Sequence[Sample], share: float) -> float | None:
    return percentile([s.turn for s in samples if s.turn], now.turn_buckets, share)


def _acknowledged(now: Overview, samples: Sequence[Sample], share: float) -> float | None:
    counts = [s.acknowledgement for s in samples if s.acknowledgement]
    return percentile(counts, now.acknowledgement_buckets, share)


# -- charts as SVG ---------------------------------------------------------------------------------
#
# Drawn here, so that they are in the first paint and take the theme.

POINTS = 24
"""Hours of a day."""
BAR_SHARE = 0.72
"""The width of a bar, as a share of its point's width."""
WIDTH, HEIGHT = 240.0, 56.0
TOP = 4.0
"""Space above the highest point for the width of the line."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The shapes of one chart."""

    line: str
    """The path of the line; empty if there is nothing to draw."""
    area: str
    """The path of the area below it."""
    bars: tuple[tuple[float, float, float], ...]
    """Left edge, top and height of each bar."""
    bar_width: float
    points: tuple[tuple[float, float | None], ...]
    """The start of each part of the time, and its value."""


def parts_of_day(samples: Sequence[Sample], now: float) -> list[list[Sample]]:
    """Sort samples into POINTS parts of the time shown, the newest last."""
    length = SECONDS_SHOWN / POINTS
    first = now - SECONDS_SHOWN
    parts: list[list[Sample]] = [[] for _ in range(POINTS)]
    for sample in samples:
        # The current interval ends now, in the newest part.
        place = POINTS - 1 if sample.at == now else floor((sample.at - first) / length)
        if 0 <= place < POINTS:
            parts[place].append(sample)
    return parts


def percentile(
    samples: Sequence[Sequence[int]], ends: Sequence[float], share: float
) -> float | None:
    """The time within which `share` of the counts lies, from the counts by bucket.

    Interpolated within a bucket, as Prometheus does; None without counts.
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
    runs: list[list[tuple[float, float]]] = [[]]
    for spot in spots:
        if spot is not None:
            runs[-1].append(spot)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(run: Sequence[tuple[float, float]]) -> str:
    if len(run) == 1:  # a single spot gets the width of a bar, to be visible
        x, y = run[0]
        length = WIDTH / POINTS * BAR_SHARE
        return f"M{x - length / 2:.1f} {y:.1f} h{length:.1f}"
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run)
