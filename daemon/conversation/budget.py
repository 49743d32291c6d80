"""Paying for what belongs to no run of the model: voice notes that are heard, and those we speak.

What a call is expected to cost is charged in the write that asks whether the day's budget allows
it, so that of two calls only one gets what is left. It is made good when the call has ended: a
failed one costs nothing, as with calls of the model, and a made voice note costs what it lasts. A
call that a stop or a crash cuts stays charged.
"""

from collections.abc import Callable

from daemon.conversation.live_config import LiveConfig
from daemon.domain.limits import MICROS, Budget, Charge, Use, day_of
from daemon.domain.messages import ChatKey
from daemon.ledger.usage import UsageBook
from daemon.observability.metrics import Metrics


class Reservation:
    """What one call was charged. `settle` and `release` are called by who made the call."""

    def __init__(self, call_budget: "CallBudget", key: ChatKey, charge: Charge) -> None:
        self._call_budget = call_budget
        self._key = key
        self._charge = charge

    async def settle(self, cost: Use) -> None:
        """The call was made and costs so much. Raises StoreError."""
        self._call_budget.metrics.cost.inc(cost.micros / MICROS)
        await self._correct(cost.micros - self._charge.use.micros)

    async def release(self) -> None:
        """The call failed. Raises StoreError."""
        await self._correct(-self._charge.use.micros)

    async def _correct(self, micros: int) -> None:
        if micros:
            await self._call_budget.usage.charge(
                self._key, Charge(self._charge.day, Use(micros=micros))
            )


class CallBudget:
    """The day's budget for calls outside of runs. Any task may use it."""

    def __init__(
        self,
        usage: UsageBook,
        live_config: LiveConfig,
        *,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        """``live_config`` has the prices and limits of the moment; ``now`` gives Unix seconds."""
        self.usage = usage
        self.metrics = metrics
        self._live_config = live_config
        self._now = now

    @property
    def budget(self) -> Budget:
        """The limits and prices of the moment."""
        return self._live_config.current.rules.budget

    async def reserve(self, key: ChatKey, cost: Use) -> Reservation | None:
        """Charge a call of a chat before it is made; None if the day's budget does not allow it.

        What costs nothing is always allowed. Raises StoreError.
        """
        charge = Charge(day_of(self._now(), self._live_config.current.rules.zone), cost)
        if cost.micros and await self.usage.take(key, charge, self.budget):
            return None
        return Reservation(self, key, charge)
