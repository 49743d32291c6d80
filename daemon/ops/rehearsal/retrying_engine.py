"""An engine that waits while its server is too busy.

The daemon sends customers a line about a delay. In a rehearsal that line would be part of the
answer, and its checks would fail.
"""

from collections.abc import Awaitable, Callable, Mapping

import trio

from daemon.assistant.port import Engine
from daemon.domain.limits import honoured
from daemon.domain.messages import ModelRequest, ModelResponse
from daemon.errors import ModelTemporary

WAIT_SECONDS = 2.0
"""The shortest wait before a request is made again."""


class RetryingEngine:
    """Implements the port of engines by another one, whose temporary failures it waits out."""

    def __init__(self, engine: Engine, *, seconds: float) -> None:
        """``seconds``: for one request, with all its waits."""
        self._engine = engine
        self._seconds = seconds

    @property
    def can_resume(self) -> bool:
        """See the port."""
        return self._engine.can_resume

    @property
    def waits_for_outputs(self) -> bool:
        """See the port."""
        return self._engine.waits_for_outputs

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        """See the port. What has begun at the server is not asked for again."""
        has_begun, began = False, trio.current_time()

        async def noted(response_id: str) -> None:
            nonlocal has_begun
            has_begun = True
            await on_started(response_id)

        while True:
            try:
                return await self._engine.respond(request, on_started=noted)
            except ModelTemporary as error:
                wait = max(WAIT_SECONDS, honoured(error.retry_after))
                if has_begun or trio.current_time() + wait > began + self._seconds:
                    raise
            await trio.sleep(wait)

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        """See the port."""
        return await self._engine.resume(response_id, starting_after=starting_after)

    async def cancel(self, response_id: str) -> bool:
        """See the port."""
        return await self._engine.cancel(response_id)

    async def warm_up(self) -> None:
        """See the port."""
        await self._engine.warm_up()

    async def list_models(self) -> Mapping[str, str]:
        """See the port."""
        return await self._engine.list_models()

    def notice(self, response_id: str) -> None:
        """See the port."""
        self._engine.notice(response_id)
