"""Webhook calls that other nodes have answered, taken in by the node at work, in their order."""

from collections.abc import Awaitable, Callable, Collection

import trio

from daemon.errors import StoreUnavailable, WebhookError
from daemon.ledger.nodes import WaitingCalls
from daemon.observability.logs import Log

LOOK_SECONDS = 0.5
"""Between two looks."""


class WaitingIntake:
    """Takes in what other nodes have stored. Made by the composer, where there can be others."""

    def __init__(
        self,
        calls: WaitingCalls,
        numbers: Collection[str],
        accept: Callable[[bytes, str, str], Awaitable[None]],
        log: Log,
    ) -> None:
        """``numbers``: those whose calls ``accept`` takes."""
        self._calls = calls
        self._numbers = numbers
        self._accept = accept
        self._log = log
        self._one_by_one = trio.Lock()
        self._unreadable: set[int] = set()

    async def run(self) -> None:
        """Take in what waits, again and again. Runs until cancelled."""
        while True:
            try:
                await self.take_all()
            except StoreUnavailable as error:
                self._log.warning("stored webhooks wait for the store", error=str(error))
            await trio.sleep(LOOK_SECONDS)

    async def take_all(self) -> None:
        """Take in what waits, so that a call that came later does not overtake it.

        A call that is interrupted is taken in again: each message is stored once, however often
        its call comes. Raises StoreUnavailable.
        """
        async with self._one_by_one:
            while waiting := await self._calls.of_numbers(self._numbers, beside=self._unreadable):
                for call in waiting:
                    try:
                        await self._accept(call.body, call.event, call.number)
                    except WebhookError as error:
                        self._unreadable.add(call.id)
                        why = str(error)
                        self._log.warning(
                            "a stored webhook cannot be read", call=call.id, error=why
                        )
                    else:
                        await self._calls.taken(call.id)
