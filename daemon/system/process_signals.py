"""Signals, and the hard deadline of a stop.

SIGTERM and SIGINT: the first stops the daemon, the second ends the process at once. These are plain
signal handlers and not trio's receiver: they run even while the event loop is blocked, so the
deadline counts from the signal and not from the loop's next turn. SIGHUP reloads the configuration,
unless it comes because the terminal of a daemon started by hand was closed: that is a stop.

Nothing inside the process can defeat the deadline. Two guards stand outside the event loop: a
thread that reports what was abandoned and exits, and behind it faulthandler's watchdog, which is C
code and does not need the interpreter's lock.
"""

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

STDIN = 0


class Bell:
    """Many may ring it, one task answers; if it is rung meanwhile, it is answered once more."""

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Wake the answering task; only in the event loop."""
        self._rung.set()

    async def answer(self) -> None:
        """Wait until the bell has been rung since the last answer."""
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


# -- the hard deadline of a stop -------------------------------------------------------------------


LAST_WORDS_SECONDS = 0.25
"""The thread exits this long before the deadline, the watchdog at it."""


class Deadline:
    """Ends the process with status 1 if a stop takes too long.

    Its thread is started beforehand and waits, since starting one inside a signal handler could
    meet a lock that the interrupted code holds.
    """

    def __init__(self, seconds: float, *, abandoned: Callable[[], str]) -> None:
        """``abandoned`` names in one line what is still running; the guard's thread calls it."""
        self._seconds = seconds
        self._abandoned = abandoned
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._guard, name="stop deadline", daemon=True).start()

    def arm(self) -> None:
        """Start the countdown. Safe inside a signal handler."""
        with contextlib.suppress(ValueError, OSError, AttributeError):  # stderr without a file
            faulthandler.dump_traceback_later(self._seconds, exit=True)
        self._orders.put("armed")

    def disarm(self) -> None:
        """The stop was in time, or there was none."""
        faulthandler.cancel_dump_traceback_later()
        self._orders.put("disarmed")

    def _guard(self) -> None:
        if self._orders.get() != "armed":
            return
        with contextlib.suppress(queue.Empty):
            self._orders.get(timeout=max(0.0, self._seconds - LAST_WORDS_SECONDS))
            return
        with contextlib.suppress(Exception):
            what = self._abandoned()
            # Not through the log: whatever holds the process up may hold its locks.
            os.write(
                sys.stderr.fileno(),
                f"forced stop: {self._seconds:g} s were not enough; abandoned: {what}\n".encode(),
            )
        os._exit(1)
