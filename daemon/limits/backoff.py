"""How long to wait before trying again: a pure function of the attempt and a random number."""

_MOST_DOUBLINGS = 60  # far beyond every cap; keeps the power a finite float


def delay(attempt: int, *, base_seconds: float, cap_seconds: float, fraction: float) -> float:
    """Give the seconds to wait after failed try number ``attempt``, counted from 0.

    The ceiling doubles from ``base_seconds`` up to ``cap_seconds``; the result lies between half
    of it and all of it, as ``fraction``, a random number in [0, 1), says. Those who failed
    together thus do not come back together.
    """
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(attempt, _MOST_DOUBLINGS))
    return ceiling * (0.5 + fraction / 2)
