"""Picking up what the last process left: at once what only waits, a little later what was running.

Nothing is done here itself: each chat is woken and finds its work in the store, so recovery is the
same road as everything else and may run again at any time.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import trio

from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.messages import ChatKey
from daemon.errors import StoreUnavailable
from daemon.observability.events import RECOVERING

MOST_REPORTED = 100
"""Chats that the report names; the others are counted."""

ORPHAN_SECONDS = 600.0
"""A response of any node that is older, and that no run waits for, was left behind."""

SWEEP_GRACE_SECONDS = 2.0
"""Younger messages are on their way to their chat."""


@dataclass(slots=True)
class RecoveryReport:
    """The unfinished work that this process found at its start, for operators. Unix seconds."""

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


class Recovery:
    """Wakes the chats that have work in the store and no task. One for all numbers."""

    def __init__(self, process: Process, chats: Numbers) -> None:
        self._store = process.store
        self._engines = process.engines
        self._telemetry = process.telemetry
        self._chats = chats
        self.report = RecoveryReport(began_at=self._telemetry.now())

    async def resume_windows(self, numbers: Collection[str] | None = None) -> None:
        """Open again the windows that a stop or crash has dropped.

        A pause that ended meanwhile is over; one that goes on ends in time. Called before HTTP, so
        that what waited is answered before what comes; and for ``numbers`` that have come from
        another node.
        """
        store, chats, now = self._store, self._chats, self._telemetry.now()
        mine = set(chats.names if numbers is None else numbers)
        arrivals = [one for one in await store.inbox.chats_with_work() if one.key.number in mine]
        # Webhooks come already while a node takes numbers over: their messages are known.
        known = {one.key for one in arrivals if chats.is_busy(one.key)}
        for arrival in arrivals:
            if arrival.key not in known:
                chats.poke(arrival)
        for key in await store.handovers.chats_with_work(now=now):
            if key.number in mine:
                chats.wake(key)
        for key, until in await store.handovers.pauses(now=now):
            if key.number in mine:
                chats.wake_at(key, until)
        self.report.waiting += len(arrivals)

    async def take_over(self, numbers: Collection[str]) -> None:
        """Go on with all that the former owner of numbers has left. Raises StoreUnavailable."""
        await self.resume_windows(numbers)
        for key in await self._unfinished():
            if key.number in numbers and not self._chats.is_busy(key):
                self._continue(key)

    async def _unfinished(self) -> tuple[ChatKey, ...]:
        """The chats with a turn or sends under way."""
        turns = await self._store.turns.all_active()
        sends = await self._store.outbox.chats_with_work()
        return tuple(dict.fromkeys((*turns, *sends)))

    def _continue(self, key: ChatKey) -> None:
        self._telemetry.metrics.recoveries.labels("continued").inc()
        self._telemetry.log.event(RECOVERING, chat=key)
        self.report.note(key, self._telemetry.now())
        self._chats.wake(key)

    async def recover(self, delay_seconds: float, timeout_seconds: float) -> None:
        """Wake the chats whose turn or sends the last process left unfinished; ends when done.

        Waits first, so that live traffic comes first; what is not woken within the time limit is
        found by the sweep. Then what is left at the model server is cancelled.
        """
        log, now, report = self._telemetry.log, self._telemetry.now, self.report
        await trio.sleep(delay_seconds)
        with trio.move_on_after(timeout_seconds) as scope:
            for key in await self._unfinished():
                if not self._chats.is_busy(key):
                    self._continue(key)
                    await trio.lowlevel.checkpoint()
        report.ended_at = now()
        report.in_time = not scope.cancelled_caught
        if scope.cancelled_caught:
            log.warning("recovery ran out of time; the sweep goes on")
        if self._store.cluster is None:
            await self._cancel_orphans(left_before=report.began_at)

    async def cancel_old_orphans(self) -> None:
        """Cancel old responses, of whichever node, that no turn will ask for."""
        await self._cancel_orphans(left_before=self._telemetry.now() - ORPHAN_SECONDS)

    async def _cancel_orphans(self, *, left_before: float) -> None:
        """Cancel the responses of earlier processes that no turn will ask for.

        ``left_before``: Unix seconds. What cannot be cancelled now is left to the next time.
        """
        for response_id in await self._store.orphans.left(before=left_before):
            # Which of several engines has asked for it is not stored.
            gone = all([await engine.cancel(response_id) for engine in self._engines])
            if gone:
                await self._store.orphans.released(response_id)
            self._telemetry.log.info(
                "orphan cancelled at the model server", response=response_id, gone=gone
            )

    async def keep_sweeping(self, delay_seconds: float, every_seconds: float) -> None:
        """Find work without a task, once recovery has had its turn. Runs until cancelled.

        So the daemon notices what the command line has put into its store, too.
        """
        await trio.sleep(delay_seconds)
        while True:
            await trio.sleep(every_seconds)
            try:
                await self.sweep(older_than=self._telemetry.now() - SWEEP_GRACE_SECONDS)
            except StoreUnavailable as error:
                self._telemetry.log.warning("sweep failed", error=str(error))

    async def sweep(self, *, older_than: float) -> int:
        """Wake chats that have work and no task at it; gives how many.

        ``older_than``: Unix seconds; a message that came later is on its way to its chat.
        """
        store = self._store
        left = (
            *await store.handovers.chats_with_work(now=self._telemetry.now()),
            *await store.inbox.chats_waiting(older_than=older_than),
            *await store.turns.all_active(),
            *await store.outbox.chats_with_work(),
        )
        idle = [key for key in dict.fromkeys(left) if not self._chats.is_busy(key)]
        for key in idle:
            self._chats.wake(key)
        return len(idle)
