"""How many requests a caller may make. Pure; times are seconds of any one clock."""


class RequestRate:
    """Lets each caller make so many requests a minute: all of them at once, then evenly spread."""

    def __init__(self, per_minute: float) -> None:
        """``per_minute``: 0 sets no limit."""
        self._every = 60 / per_minute if per_minute else 0.0
        self._used_until: dict[str, float] = {}
        """When everything that a caller has used is given back."""

    def wait(self, caller: str, now: float) -> float:
        """Count a request; or return the seconds until the caller may make another one."""
        until = max(self._used_until.get(caller, 0.0), now) + self._every
        if until - now > 60:
            return until - now - 60
        self._used_until[caller] = until
        return 0.0
