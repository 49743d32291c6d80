"""How long to wait before trying again: a pure function of the attempt and a random number."""

LONGEST_WAIT_SECONDS = 30.0
"""Nobody is left waiting longer than this without another try. Servers ask for hours (Azure sends
``Retry-After: 86400``) and are well again after minutes."""

_MOST_DOUBLINGS = 60  # far beyond every cap; keeps the power a finite float


def delay(attempt: int, *, base_seconds: float, cap_seconds: float, fraction: float) -> float:
    """Give the seconds to wait after failed try number ``attempt``, counted from 0.

    The ceiling doubles from ``base_seconds`` up to ``cap_seconds``; the result lies between half
    of it and all of it, as ``fraction``, a random number in [0, 1), says. Those who failed
    together thus do not come back together.
    """
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    return ceiling * (0.5 + fraction / 2)


def honoured(asked_seconds: float | None) -> float:
    """Give how much of a wait that a server asks for is kept, in seconds; 0 if it asks for none."""
    return min(max(asked_seconds or 0.0, 0.0), LONGEST_WAIT_SECONDS)
