"""When a chat goes too fast: talking with a machine, or writing more than can be answered.

Pure: recent exchanges and times in, decisions out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MINUTE_SECONDS = 60.0

SHORT_ANSWER = 3
"""Characters. "sí", "no", "ok", "2": people answer several questions with the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeRules:
    """The settings that the brakes go by. Times in seconds; a number of 0 turns its brake off."""

    turns_per_minute: int = 10
    """Turns of one chat that are answered in a minute."""
    loop_answers: int = 6
    loop_seconds: float = 120.0
    loop_reply_seconds: float = 10.0
    """So many of our answers in this time, each replied to within so long, are a loop."""
    repeats: int = 4
    repeat_seconds: float = 600.0
    """The same words in so many turns within this time are a loop."""
    pause_seconds: float = 1800.0
    """How long a chat in a loop is not answered."""


DEFAULT_BRAKES = BrakeRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A turn: what was heard, and when it was answered. Times are Unix seconds."""

    heard_at: float
    """When its first message arrived."""
    texts: tuple[str, ...] = ()
    said_from: float | None = None
    said_until: float | None = None
    """When the first and the last part of the answer were sent; None while it is not answered."""


def turns_of_a_loop(rules: BrakeRules) -> int:
    """In fewer turns than these nothing is a loop; 0 if both brakes are off."""
    return min((turns for turns in (rules.loop_answers, rules.repeats) if turns), default=0)


def loop_in(exchanges: Sequence[Exchange], rules: BrakeRules, *, now: float) -> str:
    """Why a chat seems to be a talk between machines; empty if it does not.

    ``exchanges``: the answered turns of the last while, oldest first, and the one to be answered.
    """
    if rules.loop_answers and _quick_replies(exchanges, rules, now) >= rules.loop_answers:
        return "each of our answers was replied to within seconds"
    if rules.repeats and _most_repeated(exchanges, now - rules.repeat_seconds) >= rules.repeats:
        return "the same words again and again"
    return ""


def _quick_replies(exchanges: Sequence[Exchange], rules: BrakeRules, now: float) -> int:
    """How many of our last answers were replied to at once, one after the other."""
    count = 0
    newest_first = list(reversed(exchanges))
    for later, earlier in pairwise(newest_first):
        if earlier.said_from is None or earlier.said_until is None:
            break
        replied = (
            earlier.said_from <= later.heard_at < earlier.said_until + rules.loop_reply_seconds
        )
        if not replied or earlier.said_until < now - rules.loop_seconds:
            break
        count += 1
    return count


def _most_repeated(exchanges: Sequence[Exchange], since: float) -> int:
    """In how many turns something was said that the newest one says again; a burst counts once."""
    recent = [_words(exchange) for exchange in exchanges if exchange.heard_at >= since]
    if not recent:
        return 0
    return max((sum(text in turn for turn in recent) for text in recent[-1]), default=0)


def _words(exchange: Exchange) -> set[str]:
    texts = {" ".join(text.split()).casefold() for text in exchange.texts}
    return {text for text in texts if len(text) > SHORT_ANSWER}


def free_at(taken: Sequence[float], per_minute: int) -> float:
    """From when on another turn may be taken up, on the clock of ``taken``; 0 for at once.

    ``taken``: when the last turns were taken up, oldest first.
    """
    if not per_minute or len(taken) < per_minute:
        return 0.0
    return taken[-per_minute] + MINUTE_SECONDS
