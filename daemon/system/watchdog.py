"""The watchdog of systemd: fed only while the daemon gets on with its work.

Protocol: sd_watchdog_enabled(3), sd_notify(3). Fed late, systemd sends SIGABRT and starts the
daemon again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from daemon.observability.logs import Log
from daemon.system.notify import Notify

FEEDS = 3
"""In the time that systemd allows; one that comes late is not yet the end."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that one part of the daemon gets on."""

    of: str
    """The part, in the words of the log."""
    show: Callable[[], Awaitable[bool]]
    """Gives False if the part is not getting on, and does not return if it hangs."""


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long systemd waits for a sign of life of this process; None if it waits for none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    return int(microseconds) / 1_000_000


async def keep_feeding(
    seconds: float | None, signs: Sequence[Sign], notify: Notify, log: Log
) -> None:
    """Feed the watchdog every third of ``seconds``, if all parts give their signs in that time.

    That this task runs is the sign of the event loop. Runs until cancelled; ends at once if
    ``seconds`` is None, since then nobody waits.
    """
    if seconds is None:
        return
    interval = seconds / FEEDS
    while True:
        begun = trio.current_time()
        silent = ""
        for sign in signs:
            silent = sign.of
            with trio.move_on_at(begun + interval):
                if await sign.show():
                    silent = ""
            if silent:
                break
        if silent:
            log.error("the watchdog is not fed", silent=silent)
        else:
            notify("WATCHDOG=1")
        await trio.sleep_until(begun + interval)
