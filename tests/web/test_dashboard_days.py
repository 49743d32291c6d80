"""How a conversation names its days and its people. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from daemon.http.dashboard.conversations import days_of, initial
from daemon.http.dashboard.shell import DAY, Wording


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("laura", "L"),
        ("👩🏽‍🚀 Zoë 🌊", "Z"),
        ("~ éva", "É"),
        ("محمد", "م"),
        ("🇨🇴", "·"),
        ("", "·"),
        ("ß", "SS"),
    ],
)
def test_the_circle_of_a_name_has_a_whole_character(name: str, shown: str) -> None:
    assert initial(name) == shown


def test_a_day_begins_at_the_businesss_midnight() -> None:
    """Bogotá is five hours behind UTC, so its midnight is at 05:00."""
    midnight = datetime(2026, 3, 10, 5, tzinfo=UTC).timestamp()
    w = Wording("es", ZoneInfo("America/Bogota"), midnight + 60, {"Today": "Hoy"})
    moments = (midnight - DAY - 1, midnight - DAY, midnight - 0.001, midnight, midnight + 1)
    said = [{"id": f"in-{number}", "at": at} for number, at in enumerate(moments)]
    assert days_of(said, w) == {"in-0": "08/03/2026", "in-1": "Yesterday", "in-3": "Hoy"}


def test_yesterday_is_the_day_before_where_the_clock_was_changed() -> None:
    """Madrid's 25 October 2026 has 25 hours: a day before its last hour is the same date."""
    zone = ZoneInfo("Europe/Madrid")
    now = datetime(2026, 10, 25, 23, 30, tzinfo=zone).timestamp()
    before = datetime(2026, 10, 24, 12, tzinfo=zone).timestamp()
    w = Wording("en", zone, now, {})
    said = [{"id": "in-1", "at": before}, {"id": "in-2", "at": now}]
    assert days_of(said, w) == {"in-1": "Yesterday", "in-2": "Today"}
