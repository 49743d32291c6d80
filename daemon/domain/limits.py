"""When and how much: delays between tries, the budget of a day, the pace of a chat. Pure.

Money is counted in whole millionths of the currency, so that sums are exact: a token at a price of
1 for a million costs one millionth.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Literal

import msgspec

from daemon.domain.messages import ModelRequest, Usage
from daemon.domain.prompt.history_budget import tokens_of_bytes

# -- when to try again: delays for one caller, a breaker for all callers ---------------------------


LONGEST_WAIT_SECONDS = 30.0
"""The longest wait before another try. Servers ask for hours (Azure sends ``Retry-After: 86400``)
and recover within minutes."""

_MOST_DOUBLINGS = 60  # far beyond every cap; keeps the power a finite float


def delay(attempt: int, *, base_seconds: float, cap_seconds: float, fraction: float) -> float:
    """Return the seconds to wait after failed try number ``attempt``, counted from 0.

    The ceiling doubles from ``base_seconds`` up to ``cap_seconds``. The result lies between half
    of the ceiling and all of it; ``fraction``, a random number in [0, 1), spreads the callers, so
    that those who failed together do not retry together.
    """
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    return ceiling * (0.5 + fraction / 2)


def honoured(asked_seconds: float | None) -> float:
    """Return the seconds to wait of those that a server asks for; 0 if it asks for none."""
    return min(max(asked_seconds or 0.0, 0.0), LONGEST_WAIT_SECONDS)


@dataclass(slots=True)
class Breaker:
    """A circuit breaker for one server, shared by all its callers.

    It counts failures in a row and says how long to hold off. While it is open, one caller at a
    time probes the server. Pure: times are those of any one clock.
    """

    threshold: int
    """Failures in a row that open it."""
    base_seconds: float
    """The first hold; it doubles with each further failure."""
    cap_seconds: float
    failures: int = 0
    held_until: float = 0
    probing_until: float = 0

    @property
    def is_open(self) -> bool:
        """True from the failure that opened it to the next success."""
        return self.failures >= self.threshold

    def wait(self, now: float) -> float:
        """Seconds to hold off; 0 means go ahead.

        While it is open, one caller at a time is let through to probe the server. That caller must
        report by `failed`, `succeeded` or `released`.
        """
        if not self.is_open:
            return 0.0
        if now < self.held_until:
            return self.held_until - now
        if now < self.probing_until:  # it may be over soon: look again before long
            return min(self.base_seconds, self.probing_until - now)
        self.probing_until = now + self.cap_seconds
        return 0.0

    def failed(self, now: float, *, retry_after: float = 0) -> bool:
        """A call failed. True if this opened it.

        ``retry_after``: the wait that the server asked for; `honoured` limits it.
        """
        was_open = self.is_open
        self.failures += 1
        self.probing_until = 0
        doublings = min(max(0, self.failures - self.threshold), 30)
        hold = min(self.cap_seconds, self.base_seconds * 2.0**doublings)
        self.held_until = max(self.held_until, now + max(hold, honoured(retry_after)))
        return self.is_open and not was_open

    def succeeded(self) -> bool:
        """A call succeeded. True if this closed it."""
        was_open = self.is_open
        self.failures = 0
        self.held_until = self.probing_until = 0
        return was_open

    def try_now(self) -> None:
        """An operator wants the server tried again at once: the next caller may probe it."""
        self.held_until = self.probing_until = 0

    def released(self) -> None:
        """A probe ended without a result: let the next caller probe."""
        self.probing_until = 0


# -- what the model may use in a day ---------------------------------------------------------------


MICROS = 1_000_000
"""Millionths in one unit of the currency."""

IMAGE_TOKENS = 1500
"""The assumed cost of a picture: models charge for tiles of it, not for its bytes."""

SLOW_SPEECH = 10
"""Characters a second. People and models speak faster (12 to 17), so costs are overestimated."""

Refusal = Literal["", "contact", "total"]
"""The budget that is used up; empty if the call may be made."""

_EMBEDDED = re.compile(rb'"data:[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money for a million tokens of each kind; ``cached`` is input from the server's cache.

    Speech and transcription cost by the minute of sound, or by the characters spoken.
    """

    input: float = 0
    cached: float = 0
    output: float = 0
    minute: float = 0
    characters: float = 0
    """For a million characters."""


@dataclass(frozen=True, slots=True)
class Use:
    """Tokens, and their cost in millionths of the currency."""

    tokens: int = 0
    micros: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(self.tokens + other.tokens, self.micros + other.micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Daily limits for one contact and for all together; 0: no limit. Costs in the currency."""

    contact_tokens: int = 0
    contact_cost: float = 0
    total_tokens: int = 0
    total_cost: float = 0
    price: Price = Price()
    hearing: Price = Price()
    """Of the transcription model."""
    speech: Price = Price()
    """Of the speech model."""
    answer_tokens: int = 2000
    """The assumed output of a call before it is made."""
    currency: str = "USD"
    """For display."""


NO_LIMITS = Budget()


@dataclass(frozen=True, slots=True)
class Charge:
    """The use of one call of the model, or its estimate, charged to a day."""

    day: str
    use: Use


def day_of(now: float, zone: tzinfo) -> str:
    """The day that a time (Unix seconds) belongs to, as ``2026-03-01``."""
    return datetime.fromtimestamp(now, zone).date().isoformat()


def use_of(usage: Usage, price: Price) -> Use:
    """The use of a call; fractions of a millionth are rounded up."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    micros = (
        (usage.input_tokens - cached) * price.input
        + cached * price.cached
        + usage.output_tokens * price.output
    )
    return Use(usage.input_tokens + usage.output_tokens, _rounded_up(micros))


def transcription_use(seconds: float, price: Price) -> Use:
    """The cost of transcribing a recording."""
    return Use(micros=_rounded_up(seconds / 60 * price.minute * MICROS))


def speech_use(characters: int, price: Price, *, seconds: float = 0) -> Use:
    """The cost of speech; ``seconds``: the length of the recording, 0 while it is not known."""
    seconds = seconds or characters / SLOW_SPEECH
    return Use(
        micros=_rounded_up(seconds / 60 * price.minute * MICROS + characters * price.characters)
    )


def _rounded_up(micros: float) -> int:
    # Rounded first: a price such as 0.1 must not cost one millionth too much.
    return math.ceil(round(micros, 6))


def expected_use(request: ModelRequest, budget: Budget) -> Use:
    """An estimate of a call's use before it is made; on the high side."""
    encoded = msgspec.json.encode(
        (request.instructions, request.items, request.tools), enc_hook=dict
    )
    text, images = _EMBEDDED.subn(b'""', encoded)
    tokens = tokens_of_bytes(len(text)) + images * IMAGE_TOKENS
    return use_of(Usage(input_tokens=tokens, output_tokens=budget.answer_tokens), budget.price)


def refusal(budget: Budget, *, contact: Use, total: Use, wanted: Use) -> Refusal:
    """Whether a call may be made, given the day's use and reservations so far."""
    if _is_over(total + wanted, budget.total_tokens, budget.total_cost):
        return "total"
    if _is_over(contact + wanted, budget.contact_tokens, budget.contact_cost):
        return "contact"
    return ""


def _is_over(use: Use, tokens: int, cost: float) -> bool:
    return bool((tokens and use.tokens > tokens) or (cost and use.micros > cost * MICROS))


def used_ratios(budget: Budget, total: Use) -> dict[str, float]:
    """The used share of the day's total budget, 1 for all of it; 0 where there is no limit."""
    return {
        "tokens": total.tokens / budget.total_tokens if budget.total_tokens else 0.0,
        "cost": total.micros / (budget.total_cost * MICROS) if budget.total_cost else 0.0,
    }


# -- chats that go too fast: loops and floods ------------------------------------------------------


MINUTE_SECONDS = 60.0

SHORT_ANSWER = 3
"""Characters. Repeated short answers ("sí", "no", "ok", "2") are no sign of a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeRules:
    """Limits on how fast a chat may go. Times in seconds; a count of 0 turns its limit off."""

    turns_per_minute: int = 10
    """Turns of one chat that are answered in a minute."""
    loop_answers: int = 6
    loop_seconds: float = 120.0
    loop_reply_seconds: float = 10.0
    """``loop_answers`` of our answers within ``loop_seconds``, each replied to within
    ``loop_reply_seconds``, are a loop."""
    repeats: int = 4
    repeat_seconds: float = 600.0
    """The same words in ``repeats`` turns within ``repeat_seconds`` are a loop."""
    pause_seconds: float = 1800.0
    """How long a chat in a loop is not answered."""


DEFAULT_BRAKES = BrakeRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A turn: what the customer wrote, and when it was answered. Times are Unix seconds."""

    inbound_at: float
    """When its first message arrived."""
    texts: tuple[str, ...] = ()
    sent_from: float | None = None
    sent_until: float | None = None
    """When the first and the last part of the answer were sent; None while it is not answered."""


def turns_of_a_loop(rules: BrakeRules) -> int:
    """The fewest turns that can be a loop; 0 if both checks are off."""
    return min((turns for turns in (rules.loop_answers, rules.repeats) if turns), default=0)


def loop_in(exchanges: Sequence[Exchange], rules: BrakeRules, *, now: float) -> str:
    """Why a chat seems to be a loop between machines; empty if it does not.

    ``exchanges``: the recently answered turns, oldest first, and the one to be answered.
    """
    if rules.loop_answers and _quick_replies(exchanges, rules, now) >= rules.loop_answers:
        return "each of our answers was replied to within seconds"
    if rules.repeats and _most_repeated(exchanges, now - rules.repeat_seconds) >= rules.repeats:
        return "the same words again and again"
    return ""


def _quick_replies(exchanges: Sequence[Exchange], rules: BrakeRules, now: float) -> int:
    """The number of our last answers in a row that were replied to at once."""
    count = 0
    newest_first = list(reversed(exchanges))
    for later, earlier in pairwise(newest_first):
        if earlier.sent_from is None or earlier.sent_until is None:
            break
        replied = (
            earlier.sent_from <= later.inbound_at < earlier.sent_until + rules.loop_reply_seconds
        )
        if not replied or earlier.sent_until < now - rules.loop_seconds:
            break
        count += 1
    return count


def _most_repeated(exchanges: Sequence[Exchange], since: float) -> int:
    """The number of turns that share a text with the newest one; a burst counts once."""
    recent = [_words(exchange) for exchange in exchanges if exchange.inbound_at >= since]
    if not recent:
        return 0
    return max((sum(text in turn for turn in recent) for text in recent[-1]), default=0)


def _words(exchange: Exchange) -> set[str]:
    texts = {" ".join(text.split()).casefold() for text in exchange.texts}
    return {text for text in texts if len(text) > SHORT_ANSWER}


def free_at(taken: Sequence[float], per_minute: int) -> float:
    """When the next turn may start, on the clock of ``taken``; 0: at once.

    ``taken``: when the last turns started, oldest first.
    """
    if not per_minute or len(taken) < per_minute:
        return 0.0
    return taken[-per_minute] + MINUTE_SECONDS
