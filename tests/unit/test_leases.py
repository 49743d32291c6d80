"""The lease of the ledger: when it is free, how long it lasts, and when old sends are settled."""

import pytest

from daemon.domain.transitions.leases import is_free, renewal_seconds, seconds_left, settles_at


@pytest.mark.parametrize(
    ("owner", "until", "now", "free"),
    [
        ("", 0.0, 100.0, True),
        ("", 200.0, 100.0, True),  # handed over before its time
        ("node a", 100.1, 100.0, False),
        ("node a", 100.0, 100.0, True),
        ("node a", 99.0, 100.0, True),
    ],
)
def test_a_lease_is_free_when_handed_over_or_over(
    *, owner: str, until: float, now: float, free: bool
) -> None:
    assert is_free(owner, until, now) is free


@pytest.mark.parametrize(
    ("asked_at", "now", "left"),
    [
        (None, 50.0, 0.0),
        (50.0, 50.0, 15.0),
        (50.0, 64.0, 1.0),
        (50.0, 65.0, 0.0),
        (50.0, 70.0, -5.0),
    ],
)
def test_a_lease_counts_from_before_it_was_asked_for(
    asked_at: float | None, now: float, left: float
) -> None:
    assert seconds_left(asked_at, now, lease_seconds=15.0) == left


def test_it_is_renewed_twice_before_its_end() -> None:
    assert renewal_seconds(15.0) == 5.0


def test_sends_of_a_lost_owner_are_settled_after_their_longest_call() -> None:
    assert settles_at(100.0, was_handed_over=False, call_seconds=15.0) == 115.0
    assert settles_at(100.0, was_handed_over=True, call_seconds=15.0) == 0.0
