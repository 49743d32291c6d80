"""How wrong secrets count against an address."""

from daemon.http.access import (
    FORGIVEN_SECONDS,
    FREE_ATTEMPTS,
    MOST_ADDRESSES,
    MOST_SECONDS,
    TRUSTED_SECONDS,
    FailedAttempts,
)


def test_a_few_wrong_tokens_are_free_and_more_are_delayed_ever_longer() -> None:
    attempts = FailedAttempts()
    costs = []
    for _ in range(FREE_ATTEMPTS + 300):
        costs.append(attempts.delay("198.51.100.1", now=0))
        attempts.failed("198.51.100.1", now=0)
    assert costs[: FREE_ATTEMPTS + 1] == [0] * (FREE_ATTEMPTS + 1)
    assert costs == sorted(costs)
    assert costs[FREE_ATTEMPTS + 1] > 0
    assert costs[-1] == MOST_SECONDS
    assert attempts.delay("198.51.100.2", now=0) == 0


def test_wrong_ones_are_forgotten_one_by_one() -> None:
    attempts = FailedAttempts()
    for _ in range(FREE_ATTEMPTS):
        attempts.failed("198.51.100.1", now=0)
    assert attempts.retry_after("198.51.100.1", now=0) == FORGIVEN_SECONDS
    assert attempts.retry_after("198.51.100.1", now=FORGIVEN_SECONDS) == 0
    assert attempts.count("198.51.100.1", now=FREE_ATTEMPTS * FORGIVEN_SECONDS) == 0


def test_the_right_one_makes_an_address_trusted_for_a_while_and_forgives_nothing() -> None:
    attempts = FailedAttempts()
    for _ in range(FREE_ATTEMPTS + 2):
        attempts.failed("198.51.100.1", now=0)
    assert not attempts.is_trusted("198.51.100.1", now=0)
    attempts.succeeded("198.51.100.1", now=0)
    assert attempts.is_trusted("198.51.100.1", now=TRUSTED_SECONDS - 1)
    assert not attempts.is_trusted("198.51.100.1", now=TRUSTED_SECONDS)
    assert attempts.delay("198.51.100.1", now=0) > 0


def test_a_bounded_number_of_addresses_is_remembered() -> None:
    attempts = FailedAttempts()
    for number in range(MOST_ADDRESSES + 5):
        attempts.failed(str(number), now=0)
    assert len(attempts._records) == MOST_ADDRESSES
    assert attempts.count("0", now=0) == 0
