"""What an enquiry is and what came of it: the definitions of docs/figures.md."""

from typing import Any

import pytest

from daemon.domain.outcomes import (
    LONGEST_SECONDS,
    QUIET_SECONDS,
    REOPENED_SECONDS,
    EnquiryFacts,
    EnquiryRow,
    figures_of,
    goes_on,
    grouped,
    outcome_of,
    reopens,
)
from daemon.ops.outcomes import as_csv, figures_query, shown_figures


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"answered": 2}, "automatic"),
        ({"answered": 2, "open": 1}, "waiting"),
        ({"open": 1}, "waiting"),
        ({"by_person": 1, "open": 1}, "waiting"),
        ({"answered": 2, "by_person": 1}, "handed_over"),
        ({"by_person": 1}, "handed_over"),
        ({"answered": 1, "escalated": True}, "handed_over"),
        ({}, "unanswered"),
    ],
)
def test_an_enquiry_has_one_outcome(facts: dict[str, Any], outcome: str) -> None:
    assert outcome_of(EnquiryFacts(**facts)) == outcome


@pytest.mark.parametrize(
    ("began_at", "last_at", "at", "same"),
    [
        (0.0, 0.0, QUIET_SECONDS - 1, True),
        (0.0, 0.0, QUIET_SECONDS, False),
        (0.0, QUIET_SECONDS - 1, 2 * QUIET_SECONDS - 2, True),
        (0.0, LONGEST_SECONDS - 1, LONGEST_SECONDS, False),
    ],
)
def test_a_day_of_silence_ends_an_enquiry(
    began_at: float,
    last_at: float,
    at: float,
    same: bool,  # noqa: FBT001
) -> None:
    assert goes_on(began_at=began_at, last_at=last_at, at=at) is same


@pytest.mark.parametrize(
    ("outcome", "at", "reopened"),
    [
        ("automatic", REOPENED_SECONDS, True),
        ("handed_over", QUIET_SECONDS, True),
        ("automatic", REOPENED_SECONDS + 1, False),
        ("waiting", QUIET_SECONDS, False),
        ("unanswered", QUIET_SECONDS, False),
    ],
)
def test_who_writes_again_within_a_week_has_reopened_it(
    outcome: str,
    at: float,
    reopened: bool,  # noqa: FBT001
) -> None:
    assert reopens(outcome, last_at=0.0, at=at) is reopened


def enquiry(
    day: str, outcome: str, seconds: float | None = None, *, number: str = "a"
) -> EnquiryRow:
    return EnquiryRow(
        day, number, outcome, reopened=outcome == "handed_over", first_answer_seconds=seconds
    )


ROWS = (
    enquiry("2026-11-29", "automatic", 4.0),
    enquiry("2026-11-29", "handed_over", 60.0, number="b"),
    enquiry("2026-11-30", "waiting"),
    enquiry("2026-11-30", "automatic", 8.0),
    enquiry("2026-11-30", "unanswered"),
)


def test_figures_add_up_and_what_waits_is_in_no_share() -> None:
    figures = figures_of(ROWS)
    counts = (figures.automatic, figures.handed_over, figures.waiting, figures.unanswered)
    assert counts == (2, 1, 1, 1)
    assert sum(counts) == figures.enquiries == 5
    assert figures.automatic_share == 0.5
    assert (figures.reopened, figures.first_answer_median, figures.first_answer_p90) == (
        1,
        8.0,
        60.0,
    )
    assert figures_of(()).automatic_share is None
    assert figures_of(()).first_answer_median is None


def test_enquiries_that_are_alike_count_as_many() -> None:
    alike = (
        enquiry("2026-11-29", "automatic", 4.0)._replace(amount=6),
        enquiry("2026-11-29", "handed_over", 60.5)._replace(amount=4),
        enquiry("2026-11-30", "waiting")._replace(amount=2),
    )
    one_by_one = [row._replace(amount=1) for row in alike for _ in range(row.amount)]
    assert figures_of(alike) == figures_of(one_by_one)
    figures = figures_of(alike)
    assert (figures.enquiries, figures.reopened, figures.first_answer_median) == (12, 4, 4.0)
    assert figures_of(alike[:2]).first_answer_p90 == 60.5
    even = (alike[0], alike[1]._replace(amount=6))
    assert figures_of(even).first_answer_median == 32.25


def test_figures_are_grouped_by_what_is_asked_for() -> None:
    by_day = grouped(ROWS, ["day"])
    assert [(group.day, figures.enquiries) for group, figures in by_day] == [
        ("2026-11-29", 2),
        ("2026-11-30", 3),
    ]
    assert [group.number for group, _ in grouped(ROWS, ["number"])] == ["a", "b"]


def test_figures_as_csv() -> None:
    query = figures_query(lambda name: {"by": "number"}.get(name, ""), zone=None, now=1_796_000_000)
    assert (query.first_day, query.last_day) == ("2026-11-01", "2026-11-30")
    heading, first, *_ = as_csv(shown_figures(ROWS, query), query.by).splitlines()
    assert heading.startswith("number,enquiries,automatic,handed_over,waiting")
    assert first.startswith("a,4,2,0,1,1,0,")


@pytest.mark.parametrize(
    "fields",
    [
        {"from": "2026-13-01"},
        {"from": "2026-11-30", "to": "2026-11-01"},
        {"from": "2026-01-01", "to": "2026-11-01"},
        {"by": "weather"},
    ],
)
def test_a_period_that_is_none_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"day|days|by is"):
        figures_query(lambda name: fields.get(name, ""), zone=None, now=1_796_000_000)
