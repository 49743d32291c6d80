"""Restarts a side task: its fault is logged, and it starts again after a while."""

from collections.abc import Awaitable, Callable
from random import Random

import trio

from daemon.domain.limits import delay
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log

BASE_SECONDS = 1.0
CAP_SECONDS = 60.0

QUIET_SECONDS = 300.0
"""After running this long without a fault, a task restarts soon after its next one."""


async def supervise(
    run: Callable[[], Awaitable[None]], *, name: str, log: Log, random: Random
) -> None:
    """Run a task that the daemon can do without for a while.

    An exception is logged and the task starts again, with a growing delay if it fails soon. Runs
    until cancelled, or until ``run`` returns.
    """
    failures = 0
    while True:
        began = trio.current_time()
        try:
            await run()
        except Exception:  # noqa: BLE001 - the boundary of the task
            log.event(
                UNEXPECTED_ERROR,
                where="side_task",
                what="task failed, beginning again",
                task=name,
                exc_info=True,
            )
        else:
            return
        if trio.current_time() - began >= QUIET_SECONDS:
            failures = 0
        wait = delay(
            failures, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS, fraction=random.random()
        )
        failures += 1
        await trio.sleep(wait)
