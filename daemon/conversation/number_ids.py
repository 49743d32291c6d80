"""Our numbers by the ids that their gateways have for them."""

from collections.abc import Iterable

import trio

from daemon.errors import WebhookError
from daemon.gateway.port import GatewayKind
from daemon.media.files import LARGE_BODY_BYTES


class NumberIds:
    """Finds the numbers that the body of a webhook call names."""

    def __init__(self, numbers: Iterable[tuple[str, GatewayKind, str]]) -> None:
        """``numbers``: our name, the gateway and its id of each; an empty id is not known."""
        listed = tuple(numbers)
        self._kinds = {kind.name: kind for _, kind, _ in listed}
        self._names = {(kind.name, own): name for name, kind, own in listed if own}

    async def named_in(self, body: bytes) -> tuple[str, ...]:
        """Our numbers that the body of a webhook call is about; some gateways gather several.

        Raises WebhookError if the body cannot be read, or names no number of ours.
        """
        if len(body) < LARGE_BODY_BYTES:
            return self._named_in(body)
        return await trio.to_thread.run_sync(self._named_in, body)

    def _named_in(self, body: bytes) -> tuple[str, ...]:
        ids: tuple[str, ...] = ()
        for name, kind in self._kinds.items():
            ids = kind.numbers_in(body)
            known = [(name, one) for one in ids if (name, one) in self._names]
            if known:
                return tuple(self._names[one] for one in dict.fromkeys(known))
        what = f"names the unknown number {', '.join(ids)}" if ids else "names no number"
        raise WebhookError(f"the body {what}; only /n/<number>/hook takes such calls")
