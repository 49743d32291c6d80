"""A circuit breaker: when a server fails again and again, leave it alone for a while.

Pure: times of any one clock come in, the wait comes out. One breaker stands for one server; all
chats share it, so that an outage is asked about by one of them at a time and not by all.
"""

from dataclasses import dataclass

from daemon.limits.backoff import honoured


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row and says how long to hold off."""

    threshold: int
    """Failures in a row that open it."""
    base_seconds: float
    """The first hold; it doubles with each failure after that."""
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

        While it is open, one caller at a time is let through to look whether the server is back;
        it must report, by `failed`, `succeeded` or `released`.
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
        """A call failed; ``retry_after`` is what the server asked for. True if this opened it.

        Of that only so much is kept as `daemon.limits.backoff.honoured` gives.
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
        """An operator wants the server asked again at once: the next one may try."""
        self.held_until = self.probing_until = 0

    def released(self) -> None:
        """A call that was let through ended without telling anything: let the next one try."""
        self.probing_until = 0
