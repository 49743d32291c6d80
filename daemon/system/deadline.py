"""The hard deadline of a stop, which nothing inside the process can defeat.

Two guards outside the event loop: a thread that says what was abandoned and exits, and behind it
faulthandler's watchdog, which is C code and needs not even the interpreter's lock.
"""

import contextlib
import faulthandler
import os
import queue
import sys
import threading
from collections.abc import Callable

LAST_WORDS_SECONDS = 0.25
"""The thread exits this long before the deadline, the watchdog at it."""


class Deadline:
    """Ends the process with status 1 if a stop takes too long.

    Its thread is started beforehand and waits, since starting one inside a signal handler could
    meet a lock that the interrupted code holds.
    """

    def __init__(self, seconds: float, *, abandoned: Callable[[], str]) -> None:
        """``abandoned`` says in one line what is still under way; called by the guard's thread."""
        self._seconds = seconds
        self._abandoned = abandoned
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._guard, name="stop deadline", daemon=True).start()

    def arm(self) -> None:
        """Start to count. Safe inside a signal handler."""
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
