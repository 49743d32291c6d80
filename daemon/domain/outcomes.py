"""Outcome figures: what an enquiry is, what came of it, and the figures of many. Pure.

An enquiry is what a customer wants at one time: the messages of a private chat until nobody has
written for a day. ``docs/figures.md`` has these definitions for operators.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

QUIET_SECONDS = 24 * 3600.0
"""A message after so long without one begins a new enquiry: as long as WhatsApp's own window."""

REOPENED_SECONDS = 7 * 24 * 3600.0
"""A customer who writes again within this time after an enquiry has reopened it."""

LONGEST_SECONDS = 7 * 24 * 3600.0
"""A talk that never pauses is cut into enquiries of this length."""

EnquiryOutcome = Literal["waiting", "handed_over", "automatic", "unanswered"]
SETTLED: tuple[EnquiryOutcome, ...] = ("automatic", "handed_over", "unanswered")
OUTCOMES: tuple[EnquiryOutcome, ...] = ("automatic", "handed_over", "waiting", "unanswered")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnquiryFacts:
    """What the ledger has of an enquiry's messages. Times are Unix seconds; None: none."""

    open: int = 0
    """Customer's messages without an outcome."""
    answered: int = 0
    """Customer's messages that the bot has answered."""
    by_person: int = 0
    """Customer's messages that a person closed or has still to close, and messages of agents."""
    escalated: bool = False
    """The model has asked for a person."""
    answered_at: float | None = None
    """When the first message of an answer left, the bot's or an agent's."""


def outcome_of(facts: EnquiryFacts) -> EnquiryOutcome:
    """What has come of an enquiry so far."""
    if facts.open:
        return "waiting"
    if facts.by_person or facts.escalated:
        return "handed_over"
    return "automatic" if facts.answered else "unanswered"


def goes_on(*, began_at: float, last_at: float, at: float) -> bool:
    """Whether a message at a time belongs to an enquiry, or begins the next one."""
    return at - last_at < QUIET_SECONDS and at - began_at < LONGEST_SECONDS


def reopens(outcome: str, *, last_at: float, at: float) -> bool:
    """Whether a new enquiry shows that the one before it was not over after all."""
    return outcome in {"automatic", "handed_over"} and at - last_at <= REOPENED_SECONDS


LIKES = frozenset("👍❤🙏😊😍🥰👏💯🎉😁😄🤗")
DISLIKES = frozenset("👎😡😠😤")
_THANKS = re.compile(
    r"\b(gracias|agradecid[oa]s?|muy amables?|thanks|thank you|thx|perfecto|genial)\b",
    re.IGNORECASE,
)


def thanks_in(texts: Iterable[str], emojis: Iterable[str]) -> int:
    """1 if a customer says thanks or reacts with a like, -1 for a dislike, which wins; else 0."""
    signs = {sign for emoji in emojis for sign in emoji}
    if signs & DISLIKES:
        return -1
    return int(bool(signs & LIKES) or any(_THANKS.search(text) for text in texts))


class EnquiryRow(NamedTuple):
    """Enquiries that are alike, as the figures need them."""

    day: str
    """YYYY-MM-DD in the number's time zone: that of its first message."""
    number: str
    outcome: str
    reopened: bool
    first_answer_seconds: float | None
    """To a tenth."""
    topic: str = ""
    """Of the operator's list, or ``other``; empty: not known."""
    amount: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeFigures:
    """The figures of some enquiries. Seconds are None without an answer."""

    enquiries: int = 0
    automatic: int = 0
    handed_over: int = 0
    waiting: int = 0
    unanswered: int = 0
    reopened: int = 0
    first_answer_median: float | None = None
    first_answer_p90: float | None = None

    @property
    def automatic_share(self) -> float | None:
        """Of the enquiries that are decided; None if none is."""
        decided = self.enquiries - self.waiting
        return self.automatic / decided if decided else None


def figures_of(rows: Sequence[EnquiryRow]) -> OutcomeFigures:
    """The figures of these enquiries."""
    counts, seconds = Counter[str](), Counter[float]()
    reopened = 0
    for row in rows:
        counts[row.outcome] += row.amount
        reopened += row.reopened * row.amount
        if row.first_answer_seconds is not None:
            seconds[row.first_answer_seconds] += row.amount
    answered = seconds.total()
    middle = _placed(seconds, (answered - 1) // 2, answered // 2, answered * 9 // 10)
    return OutcomeFigures(
        enquiries=counts.total(),
        automatic=counts["automatic"],
        handed_over=counts["handed_over"],
        waiting=counts["waiting"],
        unanswered=counts["unanswered"],
        reopened=reopened,
        first_answer_median=(middle[0] + middle[1]) / 2 if middle else None,
        first_answer_p90=middle[2] if middle else None,
    )


def _placed(seconds: Counter[float], *places: int) -> list[float]:
    """The values at these places, in order, counted from 0; empty if there are none."""
    found: list[float] = []
    passed = 0
    for value in sorted(seconds):
        passed += seconds[value]
        while len(found) < len(places) and places[len(found)] < passed:
            found.append(value)
    return found


class Group(NamedTuple):
    """What figures are grouped by; empty where they are not."""

    day: str = ""
    number: str = ""
    topic: str = ""


By = Literal["day", "number", "topic"]


def grouped(rows: Iterable[EnquiryRow], by: Sequence[By]) -> list[tuple[Group, OutcomeFigures]]:
    """The figures of each group, in order."""
    groups: defaultdict[Group, list[EnquiryRow]] = defaultdict(list)
    for row in rows:
        groups[Group(**{name: getattr(row, name) for name in by})].append(row)
    return [(group, figures_of(groups[group])) for group in sorted(groups)]
