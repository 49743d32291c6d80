"""By how much the gateway's clock and ours differ, and from when on a chat is listed."""

from email.utils import formatdate

import pytest

from daemon.conversation.settling import CLOCK_TOLERANCE_SECONDS, listed_since
from daemon.gateway.exchange import ANSWERS, GatewayClock

HOUR = 3600.0
NOW = 1_800_000_000.0


def difference_after(*ahead: float) -> float | None:
    """What a clock says after answers whose dates are so far ahead."""
    clock = GatewayClock(lambda: NOW)
    for seconds in ahead:
        clock.note_date(formatdate(NOW + seconds, usegmt=True))
    return clock.seconds_ahead


def test_a_difference_of_minutes_is_reported_and_one_of_seconds_is_not() -> None:
    assert difference_after() is None
    assert difference_after(0.0) == 0
    assert difference_after(45.0) == 0
    assert difference_after(-8 * HOUR) == -8 * HOUR
    assert difference_after(120.0) == 120


def test_one_answer_with_the_right_time_is_believed_and_an_old_one_is_not() -> None:
    assert difference_after(-HOUR, -HOUR, 0.0) == 0
    assert difference_after(0.0, -9 * HOUR) == 0  # kept by a proxy
    assert difference_after(0.0, *[-HOUR] * ANSWERS) == -HOUR  # the clock has been set


@pytest.mark.parametrize("date", [None, "", "soon", "Thu, 99 Jan 2026 00:00:00 GMT", "0" * 5000])
def test_an_invalid_date_is_ignored(date: str | None) -> None:
    clock = GatewayClock(lambda: NOW)
    clock.note_date(date)
    assert clock.seconds_ahead is None


ERRORS = (-24 * HOUR, -8 * HOUR, -HOUR, 0.0, HOUR, 8 * HOUR, 24 * HOUR)


@pytest.mark.parametrize("then", ERRORS)
@pytest.mark.parametrize("later", ERRORS)
def test_a_send_is_listed_however_wrong_our_clock_was_and_is(then: float, later: float) -> None:
    """``then`` and ``later``: how far our clock was ahead at the send, and is now, a minute on."""
    since = listed_since(NOW + then, NOW + 60 + later, -later)
    assert since <= NOW - CLOCK_TOLERANCE_SECONDS + HOUR
    if not then and not later:
        assert since == NOW - CLOCK_TOLERANCE_SECONDS
