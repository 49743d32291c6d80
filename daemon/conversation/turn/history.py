"""What customers and the business wrote to each other before Recado: put into a new thread."""

from collections.abc import Collection, Sequence
from itertools import groupby

import trio

from daemon.conversation.deps import Dependencies
from daemon.domain.eligibility import nothing_to_answer
from daemon.domain.ids import is_group
from daemon.domain.limits import MICROS, Charge, day_of, expected_use, use_of
from daemon.domain.messages import ChatKey, JsonObject, Message, ModelRequest, ModelResponse
from daemon.domain.prompt.data import data_item
from daemon.domain.prompt.history import (
    LOWEST_RATIO,
    TRANSCRIPT_BUDGETS,
    falls_out,
    summary_item,
    summary_request,
)
from daemon.domain.prompt.message_text import as_lines, own_lines
from daemon.domain.records import Recollection, Turn
from daemon.errors import AssistantError, GatewayError

PATIENCE_SECONDS = 3.0
"""How long a customer's first answer may wait for the history; without it the answer goes on."""

NOTE = "[The messages up to the next note were written in this chat before you took part in it]"
END_NOTE = "[End of the earlier messages]"


async def import_history(turn: Turn, deps: Dependencies) -> None:
    """Put the last messages of the chat from before this turn into its thread, if that is blank.

    Called by the task of the turn's chat before the model is asked. It takes 3 s at most, and a
    failure is only noted. A crash in between leaves the thread blank, to be begun again.
    """
    count = deps.rules.import_messages
    if is_group(turn.key.chat):
        return  # what a group said before somebody addressed us is told with that message
    if not count or not turn.messages or not deps.gateway.capabilities.lists_messages:
        return
    if not await deps.store.memories.is_blank(turn.key):
        return
    listed: tuple[Message, ...] = ()
    with trio.move_on_after(PATIENCE_SECONDS) as scope:
        try:
            listed = await deps.gateway.list_messages(
                turn.key.chat, from_me=None, since=0, count=count + len(turn.messages)
            )
        except GatewayError as error:
            # A number nobody wrote with before is unknown there, which is no fault.
            deps.log.debug("no earlier messages", chat=turn.key, error=str(error))
            return
    if scope.cancelled_caught:
        deps.log.warning("earlier messages did not come in time", chat=turn.key)
        return
    first = turn.messages[0].message
    known = {stored.message.id for stored in turn.messages}
    items = earlier_items(listed, known=known, before=first.sent_at, count=count)
    imported = await deps.store.memories.begin_with(turn.key, items, now=deps.now())
    if imported and items:
        deps.log.info("earlier messages imported", chat=turn.key, items=len(items) - 2)


def earlier_items(
    listed: Sequence[Message], *, known: Collection[str], before: float, count: int
) -> list[JsonObject]:
    """Messages as items of a thread, at most ``count`` of them, oldest first.

    ``listed``: newest first. ``known`` are the ids of those that the thread gets in another way; so
    does everything that was not written ``before`` (Unix seconds, 0: not known). Our own numbers'
    words are the assistant's, whoever wrote them.
    """
    earlier = [
        message
        for message in listed
        if message.id not in known
        and not nothing_to_answer(message)
        and not message.disappears
        and (not before or message.sent_at < before)
    ]
    sides = groupby(reversed(earlier[:count]), key=lambda message: message.from_me)
    said: list[JsonObject] = [
        {
            "role": "assistant" if from_me else "user",
            "content": own_lines(side) if from_me else "\n".join(map(as_lines, side)),
        }
        for from_me, side in sides
    ]
    if not said:
        return []
    return [
        data_item("note", NOTE),
        *said,
        data_item("note", END_NOTE),
    ]


# Keeping a chat's thread within its budget, after the answer and beside everything else.
#
# A summary is an optimisation: one that is lost to a crash, a stop or a fault of the model is made
# again after the chat's next turn. Until then the oldest turns are simply not told.


async def shorten_thread(key: ChatKey, budget: int, deps: Dependencies) -> None:
    """Leave out the oldest turns of a thread that exceeds its budget, or sum them up.

    ``budget``: tokens. Any task may call it, one a chat at a time. It takes no longer than a run
    of the model may. Raises StoreError.
    """
    tokens = int(TRANSCRIPT_BUDGETS * budget / LOWEST_RATIO)
    memory = await deps.store.memories.recall(key, tokens=tokens)
    count = falls_out(memory, budget=budget)
    if not count:
        return
    item: JsonObject | None = None
    if deps.rules.compaction == "summary":
        item = await _summary(key, memory, count, budget, deps)
        if item is None:
            return
    last = memory.items[count - 1]
    if await deps.store.memories.shorten(key, last, item, now=deps.now()):
        deps.log.info("thread shortened", symbol="✂", chat=key, items=count)


async def _summary(
    key: ChatKey, memory: Recollection, count: int, budget: int, deps: Dependencies
) -> JsonObject | None:
    """Let the model sum up the oldest items; None if it does not."""
    if deps.model_state.fault:
        return None
    request = summary_request(
        memory, memory.items[:count], budget=budget, contact_hash=deps.contact_hash(key)
    )
    budget_of_day, usage = deps.rules.budget, deps.store.usage
    day = day_of(deps.now(), deps.rules.zone)
    wanted = Charge(day, expected_use(request, budget_of_day))
    if await usage.refusal(key, wanted, budget_of_day):
        return None
    response = await _response(key, request, deps)
    if response is None:
        return None
    deps.metrics.count_tokens(response.usage)
    charge = Charge(day, use_of(response.usage, budget_of_day.price))
    deps.metrics.cost.inc(charge.use.micros / MICROS)
    await usage.charge(key, charge)
    return None if response.incomplete else summary_item(response.text, budget=budget)


async def _response(
    key: ChatKey, request: ModelRequest, deps: Dependencies
) -> ModelResponse | None:
    """Ask the model for a summary; None if it has none in time.

    A summary is not resumed, since whoever needs it makes it again: what the server keeps of a lost
    one is cancelled, after a crash by recovery.
    """
    kept: list[str] = []

    async def named(response_id: str) -> None:
        kept.append(response_id)
        await deps.store.orphans.noted(response_id, now=deps.now())

    response, why = None, "not in time"
    with trio.move_on_after(deps.rules.run_timeout_seconds):
        try:
            response = await deps.engine.respond(request, on_started=named)
        except AssistantError as error:
            why = str(error)
    if response is None:
        deps.log.warning("no summary", chat=key, error=why)
    for response_id in kept:
        if response is not None or await deps.engine.cancel(response_id):
            await deps.store.orphans.released(response_id)
    return response
