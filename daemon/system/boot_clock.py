"""The clock that shows how long something has really been: it runs while everything else stands."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_seconds() -> float:
    """Seconds since the machine started, its sleep included; also while this process is stopped.

    Linux's ``CLOCK_BOOTTIME`` (clock_gettime(2)). Elsewhere the monotonic clock, which may stand
    while the machine sleeps. Callable from any thread.
    """
    return time.clock_gettime(_CLOCK)
