"""Our side of WhatsApp as one thing: how fast we may speak, and whether we may speak at all.

All chats share it. When the channel itself refuses (not linked, not paid, forbidden), every send
is held and one chat at a time tries again; people are told once, not at every try.
"""

import trio

from daemon.breaker import Breaker
from daemon.chats.attention import Attention
from daemon.errors import WhapiChannelTrouble
from daemon.observe.logs import Log

TROUBLE_BASE_SECONDS = 1.0
TROUBLE_CAP_SECONDS = 300.0
"""A channel that needs a person's hand is tried this often."""

BURST = 60
"""Messages that may go out at once after a silence."""


class Channel:
    """Paces the sends of all chats, and holds them while the channel refuses."""

    def __init__(self, *, per_minute: float, log: Log) -> None:
        """``per_minute`` messages at most in the long run; 0: no limit."""
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._log = log
        self._free_at = float("-inf")
        self._breaker = Breaker(
            threshold=1, base_seconds=TROUBLE_BASE_SECONDS, cap_seconds=TROUBLE_CAP_SECONDS
        )
        self.trouble = ""
        """Why sends are held; empty while they are not."""

    async def wait_turn(self, attention: Attention) -> None:
        """Wait until a message may be sent.

        The caller then makes one send and reports it by `worked`, `refused` or `undecided`. Raises
        Stopping or TakenOver while waiting.
        """
        if self._interval:
            now = trio.current_time()
            self._free_at = max(self._free_at, now - BURST * self._interval) + self._interval
            if self._free_at > now:
                await attention.rest(self._free_at - now)
        # Last, since whoever is let through here has to report.
        while (wait := self._breaker.wait(trio.current_time())) > 0:
            await attention.rest(wait)

    def worked(self) -> None:
        """The channel took a request: it is well."""
        if self._breaker.succeeded():
            self.trouble = ""
            self._log.info("channel is back, sends go on", symbol="✅")

    def undecided(self) -> None:
        """A request told nothing of the channel, such as a cut one: the next may try."""
        self._breaker.released()

    def refused(self, error: WhapiChannelTrouble) -> None:
        """The channel refused a request for a reason of its own."""
        self.trouble = str(error)
        if self._breaker.failed(trio.current_time()):
            self._log.error("channel trouble, sends are held", symbol="🚨", error=str(error))
