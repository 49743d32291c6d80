"""The pace at which the chats of a number may send, and whether they may send at all.

When the number itself is in trouble (not linked, not paid, its token unknown), every send is held
and one chat at a time tries again; this is reported once, not at every try.
"""

import math

import trio

from daemon.conversation.signals import ChatSignals
from daemon.domain.limits import Breaker
from daemon.errors import NumberTrouble
from daemon.observability.events import CHANNEL_BACK, CHANNEL_TROUBLE
from daemon.observability.logs import Log

TROUBLE_BASE_SECONDS = 5.0
TROUBLE_CAP_SECONDS = 60.0
"""A number in trouble is tried after 5 s, then less and less often, but once a minute."""

LONG_DELAY_SECONDS = 5.0
"""A wait before another try of one send that counts as people waiting."""

BURST = 60
"""Messages that may go out at once after a silence."""


class SendPace:
    """Paces the sends of all chats of a number, and holds them while the number is refused."""

    def __init__(self, *, per_minute: float, log: Log) -> None:
        """``per_minute`` messages at most in the long run; 0: no limit."""
        self.set_pace(per_minute)
        self._log = log
        self._free_at = float("-inf")
        self._breaker = Breaker(
            threshold=1, base_seconds=TROUBLE_BASE_SECONDS, cap_seconds=TROUBLE_CAP_SECONDS
        )
        self.trouble = ""
        """Why sends are held; empty while they are not."""
        self.doubt = trio.Event()
        """Set when something suggests that the number is not well: `NumberWatch` then asks."""
        self._held = False
        self._waiting: set[ChatSignals] = set()
        self._delayed: dict[ChatSignals, str] = {}

    def set_pace(self, per_minute: float) -> None:
        """Set the most messages per minute in the long run; 0: no limit."""
        self._interval = 60.0 / per_minute if per_minute else 0.0

    async def wait_until_usable(self, signals: ChatSignals) -> None:
        """Wait while it is known that nothing can be sent. Raises Stopping or TakenOver."""
        while self._held:
            await self._wait(signals, math.inf)

    async def wait_turn(self, signals: ChatSignals) -> None:
        """Wait until a message may be sent.

        The caller then makes one send and reports it by `worked`, `refused` or `undecided`. Raises
        Stopping or TakenOver while waiting.
        """
        await self.wait_until_usable(signals)
        if self._interval:
            now = trio.current_time()
            self._free_at = max(self._free_at, now - BURST * self._interval) + self._interval
            if self._free_at > now:
                await signals.rest(self._free_at - now)
        # Last: a caller that gets past this has to report.
        while self._held or (wait := self._breaker.wait(trio.current_time())) > 0:
            await self._wait(signals, math.inf if self._held else wait)

    async def _wait(self, signals: ChatSignals, seconds: float) -> None:
        """Wait so long, or until something has changed."""
        signals.check()
        self._waiting.add(signals)
        try:
            await signals.woken(seconds)
        finally:
            self._waiting.discard(signals)
        signals.check()

    async def rest(self, signals: ChatSignals, seconds: float, reason: str) -> None:
        """Wait before another try of one send. Raises Stopping or TakenOver.

        A long wait is shown as `delay`: a customer waits for our words.
        """
        if seconds >= LONG_DELAY_SECONDS:
            self._delayed[signals] = reason
        try:
            await signals.rest(seconds)
        finally:
            self._delayed.pop(signals, None)

    @property
    def delay(self) -> str:
        """The reason why single sends wait now, in a line; empty if none."""
        if not self._delayed:
            return ""
        why = next(iter(self._delayed.values()))
        return f"chats whose sends wait: {len(self._delayed)} ({why})"

    def try_now(self) -> None:
        """Try the number again at once, as an operator wants, and ask for its condition."""
        self._breaker.try_now()
        self.doubt.set()
        for signals in self._waiting:
            signals.wake()

    def hold(self, reason: str) -> None:
        """Nothing can be sent until `resume`; all sends wait.

        ``reason`` is what is wrong, empty if nothing is and it will pass.
        """
        self._held = True
        self.trouble = reason

    def resume(self, *, usable: bool) -> None:
        """Sends may be tried again. ``usable``: they will succeed, whatever was refused before."""
        if usable:
            self._breaker.succeeded()
        if usable or not self._breaker.is_open:
            self.trouble = ""
        self._held = False
        for signals in self._waiting:
            signals.wake()

    def worked(self) -> None:
        """A request was taken: the number is well."""
        if self._breaker.succeeded() and not self._held:
            self.trouble = ""
            self._log.event(CHANNEL_BACK)

    def undecided(self) -> None:
        """A request showed nothing of the number, such as a cut one: the next may try."""
        self._breaker.released()

    def refused(self, error: NumberTrouble) -> None:
        """A request was refused because of the number, not of the request."""
        if not self._held:
            self.trouble = str(error)
        self.doubt.set()
        if self._breaker.failed(trio.current_time()):
            self._log.event(CHANNEL_TROUBLE, error=str(error))
