"""Intervals of shares and means, with the figures of the papers and of chance."""

from collections.abc import Sequence
from random import Random

import pytest

from daemon.domain.comparison import (
    Interval,
    Resample,
    bootstrap,
    bootstrap_difference,
    mean_line,
    newcombe,
    share_line,
    wilson,
)
from daemon.domain.outcomes import thanks_in


def seeded(seed: int) -> Resample:
    rng = Random(seed)  # noqa: S311 - repeatable on purpose

    def resample(values: Sequence[float]) -> Sequence[float]:
        return rng.choices(values, k=len(values))

    return resample


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (8, 10, 0.4902, 0.9433),
        (10, 10, 0.7225, 1.0),
        (56, 70, 0.6918, 0.8766),
    ],
)
def test_wilsons_interval_of_a_share(count: int, total: int, low: float, high: float) -> None:
    found = wilson(count, total)
    assert found.value == count / total
    assert found.low == pytest.approx(low, abs=1e-3)
    assert found.high == pytest.approx(high, abs=1e-3)


def test_newcombes_interval_of_a_difference() -> None:
    """Newcombe 1998, table II, example (a): 56/70 and 48/80."""
    found = newcombe(wilson(48, 80), wilson(56, 70))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.0524, abs=1e-3)
    assert found.high == pytest.approx(0.3339, abs=1e-3)


def test_a_bootstrap_is_repeatable_and_covers_its_mean() -> None:
    values = [float(number % 10) for number in range(200)]
    found = bootstrap(values, seeded(7))
    assert found == bootstrap(values, seeded(7))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 4.5 < found.high
    assert found.high - found.low < 1.2
    more = bootstrap_difference(values, [value + 3 for value in values], seeded(7))
    assert more.low is not None
    assert more.low > 0


def test_what_is_clear_and_what_is_chance() -> None:
    assert share_line("a", (10, 100), (60, 100)).is_clear
    assert not share_line("a", (5, 10), (6, 10)).is_clear
    assert not share_line("a", (0, 0), (6, 10)).is_clear
    assert mean_line("a", [1.0, 1.1, 0.9] * 20, [5.0, 5.1, 4.9] * 20, seeded(1)).is_clear
    assert not mean_line("a", [], [1.0], seeded(1)).is_clear
    assert wilson(0, 0) == bootstrap([], seeded(1)) == Interval()


@pytest.mark.parametrize(
    ("texts", "emojis", "expected"),
    [
        (["Muchas gracias"], [], 1),
        (["Thank you!"], [], 1),
        (["¿Hay cupo?"], [], 0),
        ([], ["👍🏽"], 1),
        ([], ["❤️"], 1),
        (["Gracias"], ["👎"], -1),
        ([], [""], 0),
    ],
)
def test_thanks_and_thumbs(texts: list[str], emojis: list[str], expected: int) -> None:
    assert thanks_in(texts, emojis) == expected
