"""Keeping a chat's thread within its budget, after the answer and beside everything else.

A summary is an optimisation: one that is lost to a crash, a stop or a fault of the model is made
again after the chat's next turn. Until then the oldest turns are simply not told.
"""

import trio

from daemon.chats.dependencies import Dependencies
from daemon.errors import AssistantError
from daemon.ledger import Recollection
from daemon.limits.budget import MICROS, Charge, day_of, expected_use, use_of
from daemon.model import ChatKey, JsonObject, ModelRequest, ModelResponse
from daemon.prompt.compaction import (
    LOWEST_RATIO,
    TRANSCRIPT_BUDGETS,
    falls_out,
    summary_item,
    summary_request,
)


async def shorten_thread(key: ChatKey, budget: int, needs: Dependencies) -> None:
    """Leave out the oldest turns of a thread that exceeds its budget, or sum them up.

    ``budget``: tokens. Any task may call it, one a chat at a time. It takes no longer than a run
    of the model may. Raises StoreError.
    """
    tokens = int(TRANSCRIPT_BUDGETS * budget / LOWEST_RATIO)
    memory = await needs.store.memories.recall(key, tokens=tokens)
    count = falls_out(memory, budget=budget)
    if not count:
        return
    item: JsonObject | None = None
    if needs.rules.compaction == "summary":
        item = await _summary(key, memory, count, budget, needs)
        if item is None:
            return
    last = memory.items[count - 1]
    if await needs.store.memories.shorten(key, last, item, now=needs.now()):
        needs.log.info("thread shortened", symbol="✂", chat=key, items=count)


async def _summary(
    key: ChatKey, memory: Recollection, count: int, budget: int, needs: Dependencies
) -> JsonObject | None:
    """Let the model sum up the oldest items; None if it does not."""
    if needs.model_state.fault:
        return None
    request = summary_request(
        memory, memory.items[:count], budget=budget, contact_hash=needs.contact_hash(key)
    )
    budget_of_day, usage = needs.rules.budget, needs.store.usage
    day = day_of(needs.now(), needs.rules.zone)
    wanted = Charge(day, expected_use(request, budget_of_day))
    if await usage.refusal(key, wanted, budget_of_day):
        return None
    response = await _response(key, request, needs)
    if response is None:
        return None
    needs.metrics.count_tokens(response.usage)
    charge = Charge(day, use_of(response.usage, budget_of_day.price))
    needs.metrics.cost.inc(charge.use.micros / MICROS)
    await usage.charge(key, charge)
    return None if response.incomplete else summary_item(response.text, budget=budget)


async def _response(
    key: ChatKey, request: ModelRequest, needs: Dependencies
) -> ModelResponse | None:
    """Ask the model for a summary; None if it has none in time.

    A summary is not resumed, since whoever needs it makes it again: what the server keeps of a lost
    one is cancelled, after a crash by recovery.
    """
    kept: list[str] = []

    async def named(response_id: str) -> None:
        kept.append(response_id)
        await needs.store.orphans.noted(response_id, now=needs.now())

    response, why = None, "not in time"
    with trio.move_on_after(needs.rules.run_timeout_seconds):
        try:
            response = await needs.engine.respond(request, on_started=named)
        except AssistantError as error:
            why = str(error)
    if response is None:
        needs.log.warning("no summary", chat=key, error=why)
    for response_id in kept:
        if response is not None or await needs.engine.cancel(response_id):
            await needs.store.orphans.released(response_id)
    return response
