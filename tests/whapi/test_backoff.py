"""How long the client waits between tries."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.limits import delay


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    waits = [delay(n, base_seconds=1, cap_seconds=5, fraction=0) for n in range(5)]
    assert waits == [0.5, 1, 2, 2.5, 2.5]


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_between_half_the_ceiling_and_all_of_it(attempt: int, fraction: float) -> None:
    ceiling = min(30.0, 0.25 * 2.0 ** min(attempt, 20))
    wait = delay(attempt, base_seconds=0.25, cap_seconds=30, fraction=fraction)
    assert ceiling / 2 <= wait <= ceiling
