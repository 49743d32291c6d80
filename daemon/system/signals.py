"""SIGTERM and SIGINT: the first stops the daemon, the second ends the process at once.

Plain signal handlers and not trio's receiver: they run even while the event loop is blocked, so
the hard deadline starts to count with the signal and not with the loop's next turn.

SIGHUP has the configuration read again, unless it comes because the terminal of a daemon started
by hand was closed: that is a stop.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

STDIN = 0


class Bell:
    """Rung by anybody, answered by one task; rung again meanwhile, it is answered once more."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Ask whoever answers; only in the event loop."""
        self._rung.set()

    async def answer(self) -> None:
        """Wait until the bell has been rung since the last time."""
        await self._rung.wait()
        self._rung = trio.Event()


@contextmanager
def hangup_signal(reload: Callable[[], None], *, stop: Callable[[], None]) -> Iterator[None]:
    """Call ``reload`` in the event loop at SIGHUP, or ``stop`` if the terminal is gone.

    The handler is in place when the block is entered. Only for the main thread.
    """
    token = trio.lowlevel.current_trio_token()
    had_terminal = os.isatty(STDIN)

    def handler(_signal: int, _frame: FrameType | None) -> None:
        token.run_sync_soon(stop if had_terminal and not os.isatty(STDIN) else reload)

    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def stop_signals(stop: Callable[[], None], *, arm_deadline: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` in the event loop at the first signal; exit with 1 at the second.

    ``arm_deadline`` is called inside the signal handler, so it must be quick and must not wait.
    The handlers are in place when the block is entered, and the old ones again when it is left.
    Only for the main thread.
    """
    token = trio.lowlevel.current_trio_token()
    came = False

    def handler(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        if came:
            os._exit(1)
        came = True
        arm_deadline()
        token.run_sync_soon(stop)

    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
