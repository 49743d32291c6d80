"""The gateway's clock beside ours, by the ``Date`` of its answers (RFC 9110, section 6.6.1)."""

from collections import deque
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import lru_cache

NOTICED_SECONDS = 60.0
"""A smaller difference is none: the header has whole seconds, and an answer takes its time."""

ANSWERS = 5
"""The last answers, of which the one nearest to our clock counts: a proxy may have kept an old one,
and a clock that was set right is believed at once."""


class GatewayClock:
    """Compares two clocks. Any task may use it; nothing here waits."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now``: our wall clock, Unix seconds."""
        self._now = now
        self._differences: deque[float] = deque(maxlen=ANSWERS)

    def heard(self, date: str | None) -> None:
        """An answer has come, with this ``Date``; what is no date says nothing."""
        theirs = _unix_seconds(date or "")
        if theirs is not None:
            self._differences.append(theirs - self._now())

    @property
    def seconds_ahead(self) -> float | None:
        """By how much the gateway's clock is ahead of ours; negative if ours is, 0 if in step.

        None before the first answer.
        """
        if not self._differences:
            return None
        nearest = min(self._differences, key=abs)
        return nearest if abs(nearest) > NOTICED_SECONDS else 0.0


@lru_cache(1)
def _unix_seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
