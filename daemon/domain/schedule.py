"""When to write to a contact unasked: opening hours, holidays, quiet hours, the day's limit. Pure.

Moments are Unix seconds; hours are those of a time zone, so a day on which the clocks change has 23
or 25 of them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = {
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
LONGEST_CLOSED_DAYS = 30
"""A business that is closed for longer counts as open: a holiday list may be wrong."""

JUST_OVER_SECONDS = 60.0
"""A time that was so long ago counts as now: a model, or a crash, may take a while."""

MOST_DAYS_AHEAD = 366.0
DAY_SECONDS = 86_400.0

_SPAN = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?"
    r" (?P<from>\d\d):(?P<from_minute>\d\d)-(?P<to>\d\d):(?P<to_minute>\d\d)"
)
_QUIET = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_DAY_MINUTES = 24 * 60

Zones = Sequence[ZoneInfo]
"""The time zones in which a contact may be."""


def _never(_day: date) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """When the people of the business are there; without spans always."""

    spans: tuple[tuple[int, int, int], ...] = ()
    """Weekday (Monday is 0), and minutes of the day from and to."""
    is_holiday: Callable[[date], bool] = field(default=_never)

    def is_open(self, at: float, zone: ZoneInfo) -> bool:
        """Whether they are there at a moment."""
        return self.opens(at, zone) == at

    def opens(self, at: float, zone: ZoneInfo) -> float:
        """When they are there next: at once if they are there now."""
        if not self.spans:
            return at
        here = datetime.fromtimestamp(at, zone)
        for ahead in range(LONGEST_CLOSED_DAYS):
            day = here.date() + timedelta(days=ahead)
            if self.is_holiday(day):
                continue
            for weekday, start, end in sorted(self.spans):
                if weekday != day.weekday():
                    continue
                if at < _moment(day, end, zone):
                    return max(at, _moment(day, start, zone))
        return at


def opening_hours(
    lines: Sequence[str], is_holiday: Callable[[date], bool] = _never
) -> OpeningHours:
    """Read lines such as ``mon-fri 08:00-18:00``. Raises ValueError."""
    spans = [span for line in lines for span in _spans(line)]
    return OpeningHours(spans=tuple(spans), is_holiday=is_holiday)


def _spans(line: str) -> list[tuple[int, int, int]]:
    found = _SPAN.fullmatch(line.strip().lower())
    if found is None:
        raise ValueError(line)
    first, last = DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"])
    start = int(found["from"]) * 60 + int(found["from_minute"])
    end = int(found["to"]) * 60 + int(found["to_minute"])
    if not 0 <= start < end <= _DAY_MINUTES or last < first:
        raise ValueError(line)
    return [(day, start, end) for day in range(first, last + 1)]


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    hours, minute = divmod(minutes, 60)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    if hours == 24:
        return (midnight + timedelta(days=1)).timestamp()
    return midnight.replace(hour=hours, minute=minute).timestamp()


def quiet_minutes(text: str) -> tuple[int, int] | None:
    """Read ``21:00-08:00`` as minutes of the day; None for an empty text. Raises ValueError."""
    if not text:
        return None
    found = _QUIET.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hours = [int(found[n]) * 60 + int(found[n + 1]) for n in (1, 3)]
    if max(hours) >= _DAY_MINUTES or hours[0] == hours[1]:
        raise ValueError(text)
    return hours[0], hours[1]


def after_quiet(at: float, quiet: tuple[int, int] | None, zones: Zones) -> float:
    """When a contact may be written to: at once, unless it is quiet in one of their zones."""
    if quiet is None:
        return at
    # Each round leaves the quiet hours of one zone; with several it may be quiet in the next.
    for _ in range(len(zones) + 1):
        later = max((_after_quiet(at, quiet, zone) for zone in zones), default=at)
        if later == at:
            break
        at = later
    return at


def _after_quiet(at: float, quiet: tuple[int, int], zone: ZoneInfo) -> float:
    start, end = quiet
    here = datetime.fromtimestamp(at, zone)
    minute = here.hour * 60 + here.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if not inside:
        return at
    day = here.date() + timedelta(days=1 if start > end and minute >= start else 0)
    return _moment(day, end, zone)


def next_day(at: float, zone: ZoneInfo) -> float:
    """The same time of the next day: at its beginning people sleep."""
    here = datetime.fromtimestamp(at, zone)
    return _moment(here.date() + timedelta(days=1), here.hour * 60 + here.minute, zone)


def day_start(at: float, zone: ZoneInfo) -> float:
    """When the day of a moment began."""
    return _moment(datetime.fromtimestamp(at, zone).date(), 0, zone)


def due_moment(when: str, zone: ZoneInfo, *, now: float) -> float:
    """Read a time in ISO 8601; without an offset it is that of the zone.

    Raises ValueError in words if it is none, or is not within the year ahead.
    """
    try:
        found = datetime.fromisoformat(when.strip())
    except ValueError:
        raise ValueError(f"{when!r} is no time in ISO 8601, such as 2026-12-01T09:00") from None
    at = (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    if at <= now - JUST_OVER_SECONDS:
        raise ValueError(f"{when} is over")
    if at > now + MOST_DAYS_AHEAD * DAY_SECONDS:
        raise ValueError(f"{when} is more than a year ahead")
    return at


def shown_moment(at: float, zone: ZoneInfo, language: str) -> str:
    """A moment in words: ``Monday 30/11 09:00``."""
    here = datetime.fromtimestamp(at, zone)
    return f"{DAY_NAMES[language][here.weekday()]} {here:%d/%m %H:%M}"
