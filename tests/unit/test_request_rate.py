"""How many requests a caller may make."""

import pytest

from daemon.ops.api_access import RequestRate


def test_a_minutes_worth_at_once_then_evenly() -> None:
    rate = RequestRate(6)
    assert [rate.wait("a", 100) for _ in range(7)] == [0] * 6 + [pytest.approx(10)]
    assert rate.wait("b", 100) == 0
    assert rate.wait("a", 109) == pytest.approx(1)
    assert rate.wait("a", 110) == 0
    assert rate.wait("a", 110) == pytest.approx(10)
    assert [rate.wait("a", 1000) for _ in range(7)] == [0] * 6 + [pytest.approx(10)]


def test_zero_is_no_limit() -> None:
    rate = RequestRate(0)
    assert {rate.wait("a", 0) for _ in range(1000)} == {0}
