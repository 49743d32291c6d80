"""An engine that waits while its server is too busy.

The daemon sends customers a line about a delay. In a rehearsal that line would be part of the
answer, and its checks would fail.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio

from daemon.assistant.port import Engine
from daemon.domain.limits import honoured
from daemon.domain.messages import ModelRequest, ModelResponse
from daemon.errors import ModelTemporary

WAIT_SECONDS = 2.0
"""The shortest wait before a request is made again."""


def retrying(engine: Engine, *, seconds: float) -> Engine:
    """The same engine, but it waits out temporary failures: ``seconds`` for a request, in all."""
    return cast("Engine", _RetryingEngine(engine, seconds))


class _RetryingEngine:
    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

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
