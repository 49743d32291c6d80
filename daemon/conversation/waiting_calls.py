"""Webhook calls that another node has answered, taken in by the owner of their number, in order."""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection

import trio

from daemon.conversation.telemetry import Telemetry
from daemon.errors import NotOwned, StoreUnavailable, WebhookError
from daemon.ledger.drivers.port import Cluster
from daemon.ledger.nodes import MOST_CALLS, WaitingCall, WaitingCalls

LOOK_SECONDS = 1.0
"""Between two looks, where no notice has come."""

NOTICE = "waiting_calls"


class WaitingIntake:
    """Takes in what other nodes have stored. Made by the composer, where there can be others."""

    def __init__(
        self,
        calls: WaitingCalls,
        accept: Callable[[bytes, str, str], Awaitable[None]],
        telemetry: Telemetry,
    ) -> None:
        """``accept`` takes a body, an event and a number that is served here."""
        self._calls = calls
        self._accept = accept
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._now = telemetry.now
        self._one_by_one: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._unreadable: set[int] = set()
        self._due: dict[str, bool] = {}
        """The numbers whose calls are being taken in, and whether more have come since."""

    async def add(self, number: str, event: str, body: bytes) -> None:
        """Store a call for the node that owns its number. Raises StoreUnavailable."""
        await self._calls.add(number, event, body, now=self._now())

    async def run(self, cluster: Cluster, served: Callable[[], Collection[str]]) -> None:
        """Take in what waits for the numbers that are served here. Runs until cancelled."""
        async with trio.open_nursery() as nursery:  # a number in trouble delays no other one
            while True:
                try:
                    waiting = await self._calls.counts()
                except StoreUnavailable as error:
                    self._log.debug("stored webhooks wait for the store", error=str(error))
                    waiting = {}
                mine = set(served()).intersection(waiting)
                self._metrics.node.waiting_calls.set(sum(waiting[number] for number in mine))
                for number in mine:
                    if number not in self._due:
                        nursery.start_soon(self._take_all, number, name=f"calls of {number}")
                    self._due[number] = True
                with trio.move_on_after(LOOK_SECONDS):
                    await cluster.noticed(NOTICE)

    async def _take_all(self, number: str) -> None:
        """Take in what waits for a number, until nothing more does."""
        try:
            while self._due[number]:
                self._due[number] = False
                while await self.take(number):
                    continue
        except NotOwned:
            return  # its new owner takes them in
        except StoreUnavailable as error:
            self._log.warning("stored webhooks wait for the store", error=str(error))
        finally:
            del self._due[number]

    async def take(self, number: str) -> bool:
        """Take in what waits for a number by now: no later call overtakes it. False: nothing did.

        What is interrupted is taken in again: each message is stored once, however often its call
        comes. Raises StoreUnavailable.
        """
        waiting = await self._calls.of_number(number, beside=self._unreadable)
        if not waiting:
            return False
        newest = waiting[-1].id if len(waiting) < MOST_CALLS else math.inf
        async with self._one_by_one[number]:
            while waiting:  # what the last one to be here has left of it
                found = await self._calls.of_number(number, beside=self._unreadable)
                waiting = tuple(call for call in found if call.id <= newest)
                await self._take_in(waiting)
        return True

    async def _take_in(self, waiting: Collection[WaitingCall]) -> None:
        """Take some calls in, in their order."""
        done = []
        for call in waiting:
            try:
                await self._accept(call.body, call.event, call.number)
            except WebhookError as error:
                self._unreadable.add(call.id)
                why = str(error)
                self._log.warning("a stored webhook cannot be read", call=call.id, error=why)
            else:
                done.append(call.id)
        if done:
            await self._calls.taken(done)
