"""Outcome figures as people ask for them: by days, number and topic; as JSON and CSV."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from io import StringIO
from zoneinfo import ZoneInfo

from daemon.domain.messages import JsonObject
from daemon.domain.outcomes import By, EnquiryRow, OutcomeFigures, figures_of, grouped
from daemon.ledger.enquiries import Enquiries

MOST_DAYS = 92
"""Of one question, so that it reads a bounded number of rows."""

USUAL_DAYS = 30
BY: tuple[By, ...] = ("day", "number", "topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresQuery:
    """The figures that are wanted. Days are YYYY-MM-DD, both included."""

    first_day: str
    last_day: str
    number: str = ""
    """Empty: all."""
    by: tuple[By, ...] = ("day",)


def figures_query(
    fields: Callable[[str], str], *, zone: ZoneInfo | None, now: float
) -> FiguresQuery:
    """Read a query from named texts (``from``, ``to``, ``number``, ``by``).

    Without days it is the last 30. Raises ValueError in words.
    """
    today = datetime.fromtimestamp(now, zone or UTC).date()
    last = _day(fields("to"), today)
    usual = date.fromordinal(max(1, last.toordinal() - USUAL_DAYS + 1))
    first = _day(fields("from"), usual)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise ValueError(f"from and to are at most {MOST_DAYS} days, in this order")
    names = [name for name in fields("by").split(",") if name]
    by = tuple(name for name in BY if name in names)
    if set(names) - set(BY):
        raise ValueError(f"by is one or more of {', '.join(BY)}, with commas between")
    return FiguresQuery(
        first_day=first.isoformat(),
        last_day=last.isoformat(),
        number=fields("number"),
        by=by or ("day",),
    )


def _day(text: str, usual: date) -> date:
    try:
        return date.fromisoformat(text) if text else usual
    except ValueError:
        raise ValueError(f"{text!r} is no day such as 2026-11-30") from None


async def outcome_figures(enquiries: Enquiries, query: FiguresQuery) -> JsonObject:
    """Return the figures: ``rows`` and their ``total``. Raises StoreUnavailable."""
    rows = await enquiries.between(query.first_day, query.last_day, number=query.number)
    return shown_figures(rows, query)


def shown_figures(rows: Sequence[EnquiryRow], query: FiguresQuery) -> JsonObject:
    """Return the figures of these enquiries."""
    return {
        "from": query.first_day,
        "to": query.last_day,
        "rows": [
            {**{name: getattr(group, name) for name in query.by}, **_shown(figures)}
            for group, figures in grouped(rows, query.by)
        ],
        "total": _shown(figures_of(rows)),
    }


def _shown(figures: OutcomeFigures) -> JsonObject:
    share = figures.automatic_share
    return {**asdict(figures), "automatic_share": None if share is None else round(share, 4)}


def as_csv(figures: JsonObject, by: Sequence[By]) -> str:
    """Return the rows as CSV with a heading, and no total: what reads it adds up by itself."""
    columns = [*by, *_shown(OutcomeFigures())]
    lines = StringIO()
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures["rows"])
    return lines.getvalue()
