"""Calls of the model beside the runs of turns: summaries, and candidates that are tried."""

import trio

from daemon.conversation.services import ChatServices
from daemon.domain.messages import ChatKey, ModelRequest, ModelResponse
from daemon.errors import AssistantError


async def side_call(
    key: ChatKey, request: ModelRequest, services: ChatServices, *, failed: str
) -> ModelResponse | None:
    """Ask the model for something that is made again if it is lost; None if it has none in time.

    It is not resumed: what a crash has cut is cancelled at the server by recovery. ``failed`` is
    the line of the log then. Any task may call it.
    """
    engine, orphans = services.model.engine, services.store.orphans
    kept_ids: list[str] = []

    async def named(response_id: str) -> None:
        kept_ids.append(response_id)
        await orphans.noted(response_id, now=services.telemetry.now())

    response, why = None, "not in time"
    with trio.move_on_after(services.config.rules.run_timeout_seconds):
        try:
            response = await engine.respond(request, on_started=named)
        except AssistantError as error:
            why = str(error)
    if response is None:
        services.telemetry.log.warning(failed, chat=key, error=why)
    for response_id in kept_ids:
        if response is not None or await engine.cancel(response_id):
            await orphans.released(response_id)
    return response
