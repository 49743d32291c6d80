"""Picking up what the last process left: at once what only waits, a little later what was running.

Nothing is done here itself: each chat is woken and finds its work in the store, so recovery is the
same road as everything else and may run again at any time.
"""

from dataclasses import dataclass, field

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.registry import ChatRegistry
from daemon.domain.messages import ChatKey
from daemon.errors import StoreUnavailable
from daemon.observability.events import RECOVERING

MOST_REPORTED = 100
"""Chats that the report names; the others are counted."""


@dataclass(slots=True)
class RecoveryReport:
    """What this process found left behind at its start; for people to look at. Unix seconds."""

    began_at: float = 0
    ended_at: float = 0
    """0 while it is not over."""
    in_time: bool = True
    waiting: int = 0
    """Messages whose window the last process has dropped."""
    continued: list[tuple[ChatKey, float]] = field(default_factory=list)
    """Chats whose turn or sends were taken up again, and when."""
    more: int = 0
    """How many chats are not named in `continued`."""

    def note(self, key: ChatKey, at: float) -> None:
        """A chat goes on."""
        if len(self.continued) < MOST_REPORTED:
            self.continued.append((key, at))
        else:
            self.more += 1


async def resume_windows(deps: Dependencies, chats: ChatRegistry) -> int:
    """Open again the windows that a stop or crash has dropped; gives how many messages waited.

    A pause that ended meanwhile is over; one that goes on ends as if nothing had been.

    Called once, before HTTP, so that what waited is answered before what comes.
    """
    arrivals = await deps.store.inbox.chats_with_work()
    for arrival in arrivals:
        chats.poke(arrival)
    now = deps.now()
    for key in await deps.store.handovers.chats_with_work(now=now):
        chats.wake(key)
    for key, until in await deps.store.handovers.pauses(now=now):
        chats.wake_at(key, until)
    return len(arrivals)


async def recover(
    deps: Dependencies,
    chats: ChatRegistry,
    delay_seconds: float,
    timeout_seconds: float,
    report: RecoveryReport,
) -> None:
    """Wake the chats whose turn or sends the last process left unfinished; ends when that is done.

    Waits first, so that live traffic comes first; what is not woken within the time limit is found
    by the sweep. Then what is left at the model server is cancelled.
    """
    began = deps.now()
    await trio.sleep(delay_seconds)
    with trio.move_on_after(timeout_seconds) as scope:
        turns = await deps.store.turns.all_active()
        sends = await deps.store.outbox.chats_with_work()
        for key in dict.fromkeys((*turns, *sends)):
            if not chats.is_busy(key):
                deps.metrics.recoveries.labels("continued").inc()
                deps.log.event(RECOVERING, chat=key)
                report.note(key, deps.now())
                chats.wake(key)
                await trio.lowlevel.checkpoint()
    report.ended_at = deps.now()
    report.in_time = not scope.cancelled_caught
    if scope.cancelled_caught:
        deps.log.warning("recovery ran out of time; the sweep goes on")
    await cancel_orphans(deps, left_before=began)


async def cancel_orphans(deps: Dependencies, *, left_before: float) -> None:
    """Have the model server end what earlier processes have left there and nobody will ask for.

    ``left_before``: Unix seconds of this start. What cannot be cancelled now is left to the next.
    """
    for response_id in await deps.store.orphans.left(before=left_before):
        gone = await deps.engine.cancel(response_id)
        if gone:
            await deps.store.orphans.released(response_id)
        deps.log.info("orphan cancelled at the model server", response=response_id, gone=gone)


async def sweep(deps: Dependencies, chats: ChatRegistry, *, older_than: float) -> int:
    """Wake chats with work that nobody is doing; gives how many.

    It finds what the command line has put into the store, and is the safety net after a fault.
    ``older_than``: Unix seconds; a message that came later is on its way to its chat.
    """
    left = (
        *await deps.store.handovers.chats_with_work(now=deps.now()),
        *await deps.store.inbox.chats_waiting(older_than=older_than),
        *await deps.store.turns.all_active(),
        *await deps.store.outbox.chats_with_work(),
    )
    idle = [key for key in dict.fromkeys(left) if not chats.is_busy(key)]
    for key in idle:
        chats.wake(key)
    return len(idle)


# Looking for work that was left lying.


SWEEP_GRACE_SECONDS = 2.0
"""Younger messages are on their way to their chat."""


async def keep_sweeping(
    deps: Dependencies, chats: ChatRegistry, delay_seconds: float, every_seconds: float
) -> None:
    """Find work that nobody is doing, from when recovery has had its turn. Runs until cancelled.

    So the daemon notices what the command line has put into its store, too.
    """
    await trio.sleep(delay_seconds)
    while True:
        await trio.sleep(every_seconds)
        try:
            await sweep(deps, chats, older_than=deps.now() - SWEEP_GRACE_SECONDS)
        except StoreUnavailable as error:
            deps.log.warning("sweep failed", error=str(error))
