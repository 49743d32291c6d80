"""When to try again: growing delays for one caller, and a breaker for all callers of a server."""

from dataclasses import dataclass

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
