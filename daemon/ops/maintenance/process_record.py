"""What the store remembers of processes: how the last one ended, and that this one stops."""

import trio

from daemon.conversation.deps import Dependencies
from daemon.errors import StoreUnavailable
from daemon.observability.events import EARLIER_END

LAST_WORD_SECONDS = 0.5
"""How long noting the end may hold it up."""


class ProcessRecord:
    """This process in the store. Made and called by the composer; never fails."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def begin(self) -> None:
        """Find out how the last process ended, count and say it, and begin anew."""
        deps = self._deps
        try:
            earlier = await deps.store.process_life.begin(now=deps.now())
        except StoreUnavailable as error:
            deps.log.warning("the start was not noted", error=str(error))
            return
        deps.metrics.vitals.count_earlier_ends(earlier.ends, earlier.last_stop_seconds)
        if earlier.last_end not in {None, "clean"}:
            deps.log.event(EARLIER_END, how=earlier.last_end)

    async def stopping(self) -> None:
        """Note that the stop has begun; ends when that is stored."""
        try:
            await self._deps.store.process_life.stopping(now=self._deps.now())
        except StoreUnavailable as error:
            self._deps.log.debug("the stop was not noted", error=str(error))

    async def stopped(self) -> None:
        """Note that everything but the store is closed, if that is soon done."""
        with trio.move_on_after(LAST_WORD_SECONDS, shield=True):
            try:
                await self._deps.store.process_life.stopped(now=self._deps.now())
            except StoreUnavailable as error:
                self._deps.log.debug("the end was not noted", error=str(error))
