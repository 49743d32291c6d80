"""The targets of ``make fuzz``, a few inputs each, so that they go on fitting what they try."""

import random

import pytest
from fuzz.__main__ import TARGETS
from fuzz.checks import Check
from fuzz.edge import fuzz_edge
from fuzz.parsers import PARSERS
from fuzz.texts import TEXTS

INPUTS = 60
CHECKS = {**PARSERS, **TEXTS}


@pytest.mark.parametrize("name", CHECKS)
def test_a_target_finds_nothing_in_its_first_inputs(name: str) -> None:
    check = CHECKS[name]
    made = [check.make(random.Random(f"1:{case}")) for case in range(INPUTS)]  # noqa: S311
    assert [found for given in made if (found := check.finding(given))] == []
    assert len(set(map(repr, made))) > INPUTS / 2


def test_the_edge_withstands_a_second() -> None:
    report = fuzz_edge(1, 1.0)
    assert report.findings == ()
    assert report.cases > 4
    assert set(TARGETS) == {"edge", *CHECKS}


def test_failures_and_timeouts_are_found() -> None:
    def hold(given: str) -> None:
        while given == "slow":
            pass
        assert given == "good"

    found = [
        Check(str, hold, most_seconds=0.05).finding(given) for given in ("good", "bad", "slow")
    ]
    assert [f and (f.what, f.data) for f in found] == [
        None,
        ('AssertionError at hold: assert given == "good"', b"bad"),
        ("TooSlowError", b"slow"),
    ]


def test_the_same_seed_gives_the_same_inputs() -> None:
    made: list[str] = []
    check = Check(lambda chance: chance.choice("ab"), made.append)
    counts = [check(seed, 0.01).cases for seed in (1, 1)]
    first, second = made[: counts[0]], made[counts[0] :]
    least = min(counts)
    assert first[:least] == second[:least]
