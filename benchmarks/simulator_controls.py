"""The verbs by which the benchmarks tell the simulated outside world what to do."""

import time
from typing import Any

import trio
from dashboard_readers import Readers
from simulated_customers import NUMBERS, Customers
from simulated_faults import Faults
from simulated_model import Manner, Model


class Controls:
    """What the benchmarks tell this process to do; each verb gives a JSON object."""

    def __init__(
        self, model: Model, customers: Customers, faults: Faults, nursery: trio.Nursery
    ) -> None:
        self._model = model
        self._customers = customers
        self._faults = faults
        self._readers = Readers()
        self._nursery = nursery
        self.sends_answered = trio.Event()
        """Whapi answers sends once this is set."""
        self.sends_answered.set()

    async def manner(self, **fields: Any) -> dict[str, Any]:
        """See `Manner`."""
        self._model.manner = Manner(**fields)
        return {}

    async def target(self, port: int) -> dict[str, Any]:
        """Post to the daemon at this port from now on."""
        await self._customers.target(port)
        return {}

    async def burst(self, amount: int, rate: float, patience: float) -> dict[str, Any]:
        """Let so many customers write, `rate` a second; gives what became of each."""
        return await self._customers.burst(amount, rate, patience)

    async def fill(self, amount: int, connections: int, server: str = NUMBERS) -> dict[str, Any]:
        """Let so many customers write, as fast as they are taken; nobody waits for replies."""
        return await self._customers.fill(amount, connections, server)

    async def pass_by(
        self, first: int, amount: int, connections: int, every: int
    ) -> dict[str, Any]:
        """Let so many contacts write once each; nobody waits for replies."""
        return await self._customers.pass_by(first, amount, connections, every)

    async def expect(self, amount: int) -> dict[str, Any]:
        """Announce so many questions that come without a webhook; gives their names."""
        return await self._customers.expect(amount)

    async def asked(self, token: str) -> dict[str, Any]:
        """Note that such a question is asked now."""
        return await self._customers.asked(token)

    async def answered(self, patience: float) -> dict[str, Any]:
        """Wait until every question has its reply."""
        return await self._customers.answered(patience)

    async def probe(self, path: str, seconds: float, rate: float) -> dict[str, Any]:
        """Send small requests at an even pace; gives the delay of each answer."""
        return await self._customers.probe(path, seconds, rate)

    async def mixed(self, seconds: float, rate: float) -> dict[str, Any]:
        """Send all sorts of things for so long, `rate` calls a second."""
        return await self._customers.mixed(seconds, rate)

    async def faults(self, **fields: int) -> dict[str, Any]:
        """Have requests fail from now on, as `Faults` says; gives how many did so far."""
        for name, value in fields.items():
            setattr(self._faults, name, value)
        return {"model": self._faults.model_failed, "whapi": self._faults.whapi_failed}

    async def statuses(self, each: list[str]) -> dict[str, Any]:
        """The statuses of each message that the daemon sends, from now on."""
        self._customers.statuses = tuple(each)
        return {}

    async def hold_sends(self) -> dict[str, Any]:
        """Leave the daemon's sends without an answer from now on."""
        self.sends_answered = trio.Event()
        return {}

    async def read_dashboard(self, port: int, amount: int) -> dict[str, Any]:
        """Have so many people look at the dashboard there, until they are sent away."""
        self._nursery.start_soon(self._readers.visit, port, amount)
        return {}

    async def leave_dashboard(self) -> dict[str, Any]:
        """Have nobody look at it any more."""
        self._readers.leave()
        return {}

    async def readers(self) -> dict[str, Any]:
        """The events that the readers of the dashboard got."""
        seen = self._readers
        counts = {"pages": seen.pages, "followed": seen.followed, "lines": seen.lines}
        return {**counts, "refused": seen.refused}

    async def large(self, megabytes: float) -> dict[str, Any]:
        """Post one call with a picture of this size."""
        return await self._customers.large(megabytes)

    async def hold(self, seconds: float) -> dict[str, Any]:
        """Begin responses that do not end, with a word each so many seconds."""
        self._model.hold(seconds)
        return {}

    async def pace(self, seconds: float) -> dict[str, Any]:
        """Go on with what is held at a word each so many seconds."""
        await self._model.pace(seconds)
        return {}

    async def release(self) -> dict[str, Any]:
        """Let the model finish what it holds."""
        self._model.release()
        return {}

    async def streaming(self, amount: int, patience: float) -> dict[str, Any]:
        """Wait until so many responses are under way at once; gives how many are."""
        with trio.move_on_after(patience):
            while self._model.streaming < amount:  # noqa: ASYNC110 - a look now and then will do
                await trio.sleep(0.02)
        return {"streaming": self._model.streaming}

    async def forget(self) -> dict[str, Any]:
        """Forget all questions."""
        self._customers.forget()
        return {}

    async def spent(self) -> dict[str, Any]:
        """The CPU time of this process so far."""
        return {"cpu_seconds": time.process_time()}
