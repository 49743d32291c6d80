"""What the store remembers of processes: how the last one ended, and that this one stops."""

import trio

from daemon.conversation.deps import Dependencies
from daemon.errors import StoreUnavailable
from daemon.observability.events import EARLIER_END

LAST_WORD_SECONDS = 0.5
"""How long noting the end may hold it up."""


class Life:
    """This process in the store. Made and called by the composer; never fails."""

    def __init__(self, needs: Dependencies) -> None:
        self._needs = needs

    async def begin(self) -> None:
        """Find out how the last process ended, count and say it, and begin anew."""
        needs = self._needs
        try:
            earlier = await needs.store.process_life.begin(now=needs.now())
        except StoreUnavailable as error:
            needs.log.warning("the start was not noted", error=str(error))
            return
        needs.metrics.vitals.count_earlier_ends(earlier.ends, earlier.last_stop_seconds)
        if earlier.last_end not in {None, "clean"}:
            needs.log.event(EARLIER_END, how=earlier.last_end)

    async def stopping(self) -> None:
        """Note that the stop has begun; ends when that is stored."""
        try:
            await self._needs.store.process_life.stopping(now=self._needs.now())
        except StoreUnavailable as error:
            self._needs.log.debug("the stop was not noted", error=str(error))

    async def stopped(self) -> None:
        """Note that everything but the store is closed, if that is soon done."""
        with trio.move_on_after(LAST_WORD_SECONDS, shield=True):
            try:
                await self._needs.store.process_life.stopped(now=self._needs.now())
            except StoreUnavailable as error:
                self._needs.log.debug("the end was not noted", error=str(error))
