"""How wrong secrets count against an address."""

from daemon.http.access import (
    FORGIVEN_SECONDS,
    FREE,
    MOST_ADDRESSES,
    MOST_SECONDS,
    TRUSTED_SECONDS,
    Guesses,
)


def test_a_few_slips_cost_nothing_and_more_cost_ever_more_time() -> None:
    guesses = Guesses()
    costs = []
    for _ in range(FREE + 300):
        costs.append(guesses.hold_up("198.51.100.1", now=0))
        guesses.failed("198.51.100.1", now=0)
    assert costs[: FREE + 1] == [0] * (FREE + 1)
    assert costs == sorted(costs)
    assert costs[FREE + 1] > 0
    assert costs[-1] == MOST_SECONDS
    assert guesses.hold_up("198.51.100.2", now=0) == 0


def test_wrong_ones_are_forgotten_one_by_one() -> None:
    guesses = Guesses()
    for _ in range(FREE):
        guesses.failed("198.51.100.1", now=0)
    assert guesses.retry_after("198.51.100.1", now=0) == FORGIVEN_SECONDS
    assert guesses.retry_after("198.51.100.1", now=FORGIVEN_SECONDS) == 0
    assert guesses.wrong("198.51.100.1", now=FREE * FORGIVEN_SECONDS) == 0


def test_the_right_one_makes_an_address_trusted_for_a_while_and_forgives_nothing() -> None:
    guesses = Guesses()
    for _ in range(FREE + 2):
        guesses.failed("198.51.100.1", now=0)
    assert not guesses.is_trusted("198.51.100.1", now=0)
    guesses.succeeded("198.51.100.1", now=0)
    assert guesses.is_trusted("198.51.100.1", now=TRUSTED_SECONDS - 1)
    assert not guesses.is_trusted("198.51.100.1", now=TRUSTED_SECONDS)
    assert guesses.hold_up("198.51.100.1", now=0) > 0


def test_a_bounded_number_of_addresses_is_remembered() -> None:
    guesses = Guesses()
    for number in range(MOST_ADDRESSES + 5):
        guesses.failed(str(number), now=0)
    assert len(guesses._records) == MOST_ADDRESSES
    assert guesses.wrong("0", now=0) == 0
