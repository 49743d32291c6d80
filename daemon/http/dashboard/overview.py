"""The first page: how the daemon is, and what the last day was like."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from quart import Blueprint
from quart.typing import ResponseReturnValue

from daemon.domain.dashboard_values import Overview, Sample
from daemon.http.dashboard.charts import Chart, draw, parts_of_day, percentile, series
from daemon.http.dashboard.shell import Shell
from daemon.http.dashboard.wording import Wording
from daemon.observability.lines import iso_utc

TROUBLE_SECONDS = 900
"""A message that the bot owes an answer for so long is shown as a fault, as in ``/health``."""


NOTHING = "\N{EN DASH}"
"""Where there is no figure."""


@dataclass(frozen=True, slots=True)
class Card:
    """A figure with its chart."""

    id: str
    label: str
    figure: str
    note: str
    chart: Chart
    kind: str
    """``bars`` or ``line``."""
    said: tuple[tuple[str, str], ...]
    """What the chart says at each point: the time, and the value in words."""
    peak: str
    """The value at the top of the chart; empty if it shows nothing."""


def create_overview(shell: Shell) -> Blueprint:
    """Return the routes of the overview and of its figures."""
    overview = Blueprint("dashboard_overview", __name__)
    overview.before_request(shell.guard.refuse_strangers)

    @overview.get("/dashboard")
    @overview.get("/dashboard/")
    async def show() -> ResponseReturnValue:
        now = await shell.daemon.watch.overview()
        w = shell.wording()
        return shell.page(
            "overview.html",
            section="overview",
            now=now,
            cards=cards(now, w),
            tones=tones(now),
            late=bool(now.oldest_for_bot) and now.at - now.oldest_for_bot > TROUBLE_SECONDS,
            overdue=bool(now.waiting) and now.at - now.waiting_since > now.remind_seconds,
        )

    @overview.get("/dashboard/stats")
    async def stats() -> ResponseReturnValue:
        return figures(await shell.daemon.watch.overview())

    return overview


def figures(now: Overview) -> dict[str, object]:
    """The overview for machines; times in ISO 8601 and Unix seconds, as the names say."""
    last_hour = [sample for sample in now.samples if sample.at > now.at - 3600]
    return {
        "timestamp": iso_utc(now.at),
        "startedAt": iso_utc(now.started_at),
        "uptimeSeconds": round(now.at - now.started_at, 1),
        "parts": [asdict(part) for part in now.parts],
        "now": {
            "chats": now.chats,
            "windows": now.windows,
            "runs": now.runs,
            "paused": now.paused,
            "deadLetters": now.dead,
            "threads": now.threads,
            "outbox": now.outbox,
            "oldestUnanswered": iso_utc(now.oldest_unanswered) if now.oldest_unanswered else None,
            "waitingForPerson": {
                "chats": now.waiting,
                "oldestSeconds": round(now.at - now.waiting_since) if now.waiting else 0,
            },
            "memoryBytes": now.memory_bytes,
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
    return {
        "messages": sum(sample.messages for sample in samples),
        "answers": sum(sample.answers for sample in samples),
        "takeovers": sum(sample.takeovers for sample in samples),
        "dead": sum(sample.dead for sample in samples),
        "acknowledgementP50": _acknowledged(now, samples, 0.5),
        "acknowledgementP99": _acknowledged(now, samples, 0.99),
        "turnP50": _answered(now, samples, 0.5),
        "turnP95": _answered(now, samples, 0.95),
    }


def tones(now: Overview) -> dict[str, str]:
    """The class of each part's state: ``ok``, ``wait`` or ``bad``."""
    return {part.name: part.state for part in now.parts}


def cards(now: Overview, w: Wording) -> list[Card]:
    """The figures that have a chart, each as its page shows it."""
    parts = parts_of_day(now.samples, now.at)
    last_hour = [sample for sample in now.samples if sample.at > now.at - 3600]

    def card(
        name: str, label: str, figure: str, note: str, values: list[float | None], kind: str
    ) -> Card:
        chart = draw(values, now.at)
        say = _SAY[name]
        said = tuple(
            (w.clock(at)[:5], NOTHING if value is None else say(w, value))
            for at, value in chart.points
        )
        highest = max((value for value in values if value is not None), default=0)
        peak = say(w, highest) if highest else ""
        return Card(name, w.t(label), figure, note, chart, kind, said, peak)

    day = w.t("{count} in 24 h", count=w.figure(sum(s.messages for s in now.samples)))
    answered = w.t("{count} in 24 h", count=w.figure(sum(s.answers for s in now.samples)))
    return [
        card(
            "messages",
            "Messages an hour",
            w.figure(sum(sample.messages for sample in last_hour)),
            day,
            series(parts, lambda part: sum(sample.messages for sample in part)),
            "bars",
        ),
        card(
            "answers",
            "Answers an hour",
            w.figure(sum(sample.answers for sample in last_hour)),
            answered,
            series(parts, lambda part: sum(sample.answers for sample in part)),
            "bars",
        ),
        card(
            "turn",
            "Time to answer",
            _span(w, _answered(now, last_hour, 0.5)),
            _within(w, "95 of 100 within {span}", _answered(now, last_hour, 0.95)),
            series(parts, lambda part: _answered(now, part, 0.5)),
            "line",
        ),
        card(
            "acknowledgement",
            "Time to take a webhook",
            _span(w, _acknowledged(now, last_hour, 0.5)),
            _within(w, "99 of 100 within {span}", _acknowledged(now, last_hour, 0.99)),
            series(parts, lambda part: _acknowledged(now, part, 0.99)),
            "line",
        ),
        card(
            "tokens",
            "Tokens today",
            w.figure(now.tokens_today),
            w.t("of {limit}", limit=w.figure(now.tokens_limit))
            if now.tokens_limit
            else w.t("no limit"),
            series(parts, lambda part: sum(sample.tokens for sample in part)),
            "bars",
        ),
        card(
            "cost",
            "Cost today",
            w.money(now.cost_today),
            _of_cost(now, w),
            series(parts, lambda part: sum(sample.cost for sample in part)),
            "bars",
        ),
        card(
            "takeovers",
            "Taken over",
            w.figure(sum(sample.takeovers for sample in now.samples)),
            w.t(
                "in the last hour: {count}",
                count=w.figure(sum(sample.takeovers for sample in last_hour)),
            ),
            series(parts, lambda part: sum(sample.takeovers for sample in part)),
            "bars",
        ),
        card(
            "memory",
            "Memory",
            w.size(now.memory_bytes),
            w.t("of the whole process"),
            series(parts, lambda part: max(sample.memory_bytes for sample in part)),
            "line",
        ),
    ]


def _of_cost(now: Overview, w: Wording) -> str:
    """The limit of the day's cost, and the currency of both."""
    limit = w.t("of {limit}", limit=w.money(now.cost_limit)) if now.cost_limit else w.t("no limit")
    return f"{now.currency} · {limit}" if now.currency else limit


def _within(w: Wording, words: str, seconds: float | None) -> str:
    if seconds is None:
        return w.t("none in the last hour")
    return w.t(words, span=w.span(seconds))


def _span(w: Wording, seconds: float | None) -> str:
    return NOTHING if seconds is None else w.span(seconds)


_SAY: dict[str, Callable[[Wording, float], str]] = {
    "takeovers": lambda w, value: w.figure(value),
    "messages": lambda w, value: w.figure(value),
    "answers": lambda w, value: w.figure(value),
    "turn": lambda w, value: w.span(value),
    "acknowledgement": lambda w, value: w.span(value),
    "tokens": lambda w, value: w.figure(value),
    "cost": lambda w, value: w.money(value),
    "memory": lambda w, value: w.size(value),
}


def _answered(now: Overview, samples: Sequence[Sample], share: float) -> float | None:
    return percentile([s.turn for s in samples if s.turn], now.turn_buckets, share)


def _acknowledged(now: Overview, samples: Sequence[Sample], share: float) -> float | None:
    counts = [s.acknowledgement for s in samples if s.acknowledgement]
    return percentile(counts, now.acknowledgement_buckets, share)
