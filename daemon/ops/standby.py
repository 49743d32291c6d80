"""A node that stands by: it stores webhook calls for the one that has the ledger."""

from collections.abc import Callable
from random import Random

from daemon.conversation.intake import read_webhook
from daemon.conversation.number_ids import NumberIds
from daemon.errors import StoreUnavailable
from daemon.gateway.kinds import gateway_of
from daemon.ledger.nodes import WaitingCalls
from daemon.observability.metrics import Metrics
from daemon.ops.daemon_state import HOOK_RESULTS
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of


class Standby:
    """What HTTP needs of a node that stands by: it takes webhook calls, and nothing else."""

    def __init__(
        self,
        settings: Settings,
        calls: WaitingCalls,
        *,
        metrics: Metrics,
        now: Callable[[], float],
        random: Random,
    ) -> None:
        """``now``: wall clock, Unix seconds."""
        self.now = now
        self._kinds = {name: gateway_of(one) for name, one in numbers_of(settings).items()}
        self._ids = NumberIds(
            (name, self._kinds[name], self._kinds[name].id_of(one))
            for name, one in numbers_of(settings).items()
        )
        self._calls = calls
        self._metrics = metrics
        self._random = random

    async def accept(self, body: bytes, path_event: str, number: str) -> None:
        """Store a call durably for the node at work.

        Raises WebhookError if it cannot be read, StoreUnavailable if it is not stored.
        """
        parse = self._kinds[number].parse_webhook
        await read_webhook(body, path_event, number=number, parse=parse, nonce=self._nonce)
        await self._calls.add(number, path_event, body, now=self.now())

    async def named_in(self, body: bytes) -> tuple[str, ...]:
        """See `NumberIds.named_in`."""
        return await self._ids.named_in(body)

    async def unready(self) -> str:
        """Why calls cannot be stored; empty if they can."""
        try:
            await self._calls.look()
        except StoreUnavailable as error:
            return str(error)
        return ""

    def hook_answered(self, status: int, seconds: float) -> None:
        """Count an answered webhook call; ``seconds`` since its last byte."""
        self._metrics.webhooks.labels(HOOK_RESULTS.get(status, "unavailable")).inc()
        if status == 200:
            self._metrics.acknowledgement.observe(seconds)

    def secret_refused(self, what: str) -> None:
        """Count a request with a wrong secret."""
        self._metrics.secrets_refused.labels(what).inc()

    def _nonce(self) -> str:
        return f"{self._random.getrandbits(64):016x}"
