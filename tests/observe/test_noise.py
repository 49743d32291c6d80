from hypothesis import given
from hypothesis import strategies as st

from daemon.observability.lines import MAX_KEYS, Noise, Repeated


def test_a_period_begins_with_its_first_line_and_logs_its_count_at_its_end() -> None:
    noise = Noise(period_seconds=60)
    admitted = [noise.admits("refused", limit=3, now=100 + n) for n in range(10)]
    assert admitted == [True] * 3 + [False] * 7
    assert noise.ended(159) == []
    assert noise.ended(160) == [Repeated("refused", 7)]
    assert noise.ended(161) == []
    assert noise.admits("refused", limit=3, now=161)


def test_kinds_are_counted_each_by_itself() -> None:
    noise = Noise()
    assert noise.admits("a", limit=1, now=0)
    assert noise.admits("b", limit=1, now=0)
    assert not noise.admits("a", limit=1, now=0)


def test_lines_written_in_full_leave_no_count() -> None:
    noise = Noise(period_seconds=60)
    noise.admits("a", limit=2, now=0)
    assert noise.ended(60) == []
    assert noise.end() == []


def test_the_end_of_the_log_lists_open_work() -> None:
    noise = Noise()
    for _ in range(5):
        noise.admits("a", limit=2, now=0)
    assert noise.end() == [Repeated("a", 3)]


def test_a_clock_set_back_begins_anew() -> None:
    noise = Noise(period_seconds=60)
    for _ in range(5):
        noise.admits("a", limit=1, now=1000)
    assert noise.ended(10) == [Repeated("a", 4)]
    assert noise.admits("a", limit=1, now=10)


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 5)), max_size=600))
def test_memory_is_bounded_and_no_line_is_uncounted(lines: list[tuple[int, float]]) -> None:
    """Whatever comes, each line is either written or in a count."""
    noise, now, written, told = Noise(period_seconds=60), 0.0, 0, 0
    for number, pause in lines:
        now += pause
        told += sum(repeated.lines for repeated in noise.ended(now))
        written += noise.admits(f"kind {number}", limit=1, now=now)
        assert len(noise._counts) <= MAX_KEYS + 1
    told += sum(repeated.lines for repeated in noise.end())
    assert written + told == len(lines)
