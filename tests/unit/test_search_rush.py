"""The index of the search waits in a rush, so that the writer is the webhooks'."""

from daemon.ops.maintenance.tasks import LONGEST_RUSH_SECONDS, RUSH_A_SECOND, Rush

MORE = RUSH_A_SECOND + 1


def test_the_first_look_at_a_full_store_is_no_rush() -> None:
    assert not Rush().is_on(5_000_000, 0.0)


def test_it_waits_while_much_comes_and_goes_on_when_it_is_calm() -> None:
    rush, newest = Rush(), 5
    assert not rush.is_on(newest, 0.0)
    for second in range(1, 11):
        newest += MORE
        assert rush.is_on(newest, float(second))
    newest += RUSH_A_SECOND
    assert not rush.is_on(newest, 11.0)


def test_a_late_look_is_no_rush() -> None:
    rush = Rush()
    rush.is_on(0, 0.0)
    assert not rush.is_on(MORE, 2.0)


def test_it_does_not_wait_for_ever() -> None:
    rush = Rush()
    waited = [rush.is_on(MORE * second, float(second)) for second in range(200)]
    assert waited.count(True) == LONGEST_RUSH_SECONDS
    assert not waited[-1]
