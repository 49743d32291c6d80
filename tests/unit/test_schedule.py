"""Opening hours, holidays, quiet hours and times in words, over days on which the clocks change."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from daemon.domain.schedule import (
    after_quiet,
    day_start,
    due_moment,
    next_day,
    opening_hours,
    quiet_minutes,
    shown_moment,
)

BOGOTA, MADRID, NEW_YORK = map(ZoneInfo, ("America/Bogota", "Europe/Madrid", "America/New_York"))
SHOP = opening_hours(["mon-fri 08:00-12:00", "mon-fri 14:00-18:00", "sat 09:00-13:00"])


def at(text: str, zone: ZoneInfo = BOGOTA) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-30T08:00", "2026-11-30T08:00"),  # a Monday
        ("2026-11-30T07:59", "2026-11-30T08:00"),
        ("2026-11-30T11:59", "2026-11-30T11:59"),
        ("2026-11-30T12:00", "2026-11-30T14:00"),
        ("2026-12-04T18:00", "2026-12-05T09:00"),  # a Friday evening
        ("2026-12-05T13:00", "2026-12-07T08:00"),
    ],
)
def test_opening_hours_say_when_people_are_there_next(now: str, opens: str) -> None:
    assert SHOP.opens(at(now), BOGOTA) == at(opens)
    assert SHOP.is_open(at(now), BOGOTA) == (now == opens)


def test_a_holiday_is_closed_and_a_business_without_hours_is_always_open() -> None:
    feast = opening_hours(["mon-sun 08:00-18:00"], lambda day: day == date(2026, 12, 25))
    assert feast.opens(at("2026-12-25T09:00"), BOGOTA) == at("2026-12-26T08:00")
    never = opening_hours(["mon-sun 08:00-18:00"], lambda _: True)
    assert never.opens(at("2026-12-25T09:00"), BOGOTA) == at("2026-12-25T09:00")
    assert opening_hours([]).is_open(at("2026-12-25T03:00"), BOGOTA)
    late = opening_hours(["mon 20:00-24:00"])
    assert late.is_open(at("2026-11-30T23:59"), BOGOTA)
    assert not late.is_open(at("2026-12-01T00:00"), BOGOTA)


@pytest.mark.parametrize(
    "line",
    ["mon 8:00-18:00", "mon-fri", "fri-mon 08:00-18:00", "mon 18:00-08:00", "sun 00:00-25:00"],
)
def test_hours_that_cannot_be_read_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=line):
        opening_hours([line])


@pytest.mark.parametrize("text", ["21-08", "21:00-21:00", "25:00-08:00"])
def test_quiet_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        quiet_minutes(text)


@pytest.mark.parametrize(
    ("quiet", "now", "allowed"),
    [
        ("", "2026-11-30T23:00", "2026-11-30T23:00"),
        ("21:00-08:00", "2026-11-30T20:59", "2026-11-30T20:59"),
        ("21:00-08:00", "2026-11-30T21:00", "2026-12-01T08:00"),
        ("21:00-08:00", "2026-12-01T07:59", "2026-12-01T08:00"),
        ("13:00-15:00", "2026-11-30T14:00", "2026-11-30T15:00"),
    ],
)
def test_nothing_is_sent_in_quiet_hours(quiet: str, now: str, allowed: str) -> None:
    assert after_quiet(at(now), quiet_minutes(quiet), (BOGOTA,)) == at(allowed)


def test_quiet_hours_are_kept_in_every_zone_that_a_contact_may_be_in() -> None:
    quiet = quiet_minutes("21:00-08:00")
    asked = at("2026-11-30T08:00", MADRID)  # two o'clock at night in New York
    assert after_quiet(asked, quiet, (MADRID, NEW_YORK)) == at("2026-11-30T08:00", NEW_YORK)


def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is() -> None:
    asked = at("2026-03-28T15:30", MADRID)
    assert next_day(asked + 20, MADRID) - asked == 23 * 3600
    assert day_start(next_day(asked, MADRID), MADRID) - day_start(asked, MADRID) == 24 * 3600
    quiet = quiet_minutes("21:00-08:00")
    allowed = after_quiet(at("2026-03-28T23:00", MADRID), quiet, (MADRID,))
    assert allowed - at("2026-03-28T23:00", MADRID) == 8 * 3600


def test_a_time_is_read_in_the_zone_or_with_its_own_offset() -> None:
    now = at("2026-11-30T08:00")
    assert due_moment("2026-12-01T09:00", BOGOTA, now=now) == at("2026-12-01T09:00")
    assert due_moment("2026-12-01T09:00:00+01:00", BOGOTA, now=now) == at(
        "2026-12-01T09:00", MADRID
    )
    for wrong, why in (
        ("mañana", "ISO 8601"),
        ("2026-11-30T07:00", "is over"),
        ("2028-01-01", "a year ahead"),
    ):
        with pytest.raises(ValueError, match=why):
            due_moment(wrong, BOGOTA, now=now)


def test_a_moment_is_shown_in_words() -> None:
    assert shown_moment(at("2026-11-30T08:05"), BOGOTA, "es") == "lunes 30/11 08:05"
    assert shown_moment(at("2026-11-30T08:05"), BOGOTA, "en") == "Monday 30/11 08:05"
