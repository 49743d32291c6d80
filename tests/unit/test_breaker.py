"""The circuit breaker, second by second."""

from daemon.domain.limits import LONGEST_WAIT_SECONDS, Breaker, honoured


def broken(failures: int = 3) -> Breaker:
    """A breaker of threshold 3 that has seen so many failures at second 0."""
    breaker = Breaker(threshold=3, base_seconds=2, cap_seconds=10)
    for _ in range(failures):
        breaker.failed(0)
    return breaker


def test_it_opens_at_the_threshold_and_reports_that_once() -> None:
    breaker = broken(2)
    assert breaker.wait(0) == 0
    assert breaker.failed(0)
    assert breaker.is_open
    assert breaker.wait(0) == 2
    assert not breaker.failed(0)


def test_the_hold_doubles_up_to_its_cap() -> None:
    assert [broken(failures).wait(0) for failures in (3, 4, 5, 6, 50)] == [2, 4, 8, 10, 10]


def test_a_server_that_asks_for_more_time_gets_it_within_bounds() -> None:
    """A day is what Azure asks for; it is looked at again after half a minute."""
    for asked, kept in ((12, 12), (86_400, LONGEST_WAIT_SECONDS)):
        breaker = broken(2)
        breaker.failed(0, retry_after=asked)
        assert breaker.wait(0) == kept


def test_an_operator_has_it_tried_at_once() -> None:
    breaker = broken()
    assert breaker.wait(1) > 0
    breaker.try_now()
    assert breaker.wait(1) == 0
    assert breaker.is_open


def test_the_hold_is_the_remaining_time() -> None:
    breaker = broken()
    assert breaker.wait(0.5) == 1.5
    assert breaker.wait(1.75) == 0.25


def test_after_the_hold_one_caller_at_a_time_looks() -> None:
    breaker = broken()
    assert breaker.wait(2) == 0
    assert breaker.wait(2) == 2, "the others look again before long"
    assert breaker.wait(11.5) == 0.5, "and the next one may try when the first has had its time"
    assert breaker.wait(12) == 0
    breaker.released()
    assert breaker.wait(12) == 0


def test_a_success_closes_it_and_forgets() -> None:
    breaker = broken()
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert breaker.wait(0) == 0
    assert [breaker.failed(100) for _ in range(3)] == [False, False, True]
    assert breaker.wait(100) == 2


def test_of_a_wait_that_is_asked_for_only_so_much_is_kept() -> None:
    assert [honoured(asked) for asked in (None, -5, 0.25, 12, 86_400)] == [0, 0, 0.25, 12, 30]
