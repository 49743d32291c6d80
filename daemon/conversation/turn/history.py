"""Other parts of a chat's thread: its time before Recado, an agent's words, summaries."""

from collections.abc import Collection, Sequence
from itertools import groupby

import trio
from msgspec.structs import replace as replace_fields

from daemon.conversation.services import ChatServices
from daemon.conversation.turn.side_calls import side_call
from daemon.domain.eligibility import nothing_to_answer, wish_of
from daemon.domain.ids import is_group
from daemon.domain.limits import MICROS, Budget, Charge, day_of, expected_use, use_of
from daemon.domain.messages import ChatKey, JsonObject, Message, ModelRequest, ModelResponse
from daemon.domain.prompt.history_budget import (
    LOWEST_RATIO,
    TRANSCRIPT_BUDGETS,
    items_to_compact,
    summary_item,
    summary_request,
)
from daemon.domain.prompt.media_text import BurstFiles
from daemon.domain.prompt.message_text import (
    agent_items,
    as_lines,
    burst_item,
    data_item,
    kept,
    own_lines,
)
from daemon.domain.records import Recollection, StoredMessage, Turn
from daemon.domain.texts import Texts
from daemon.errors import GatewayError

# -- the time before Recado: put into a new thread --------------------------------------------

PATIENCE_SECONDS = 3.0
"""How long a customer's first answer may wait for the history; without it the answer goes on."""

NOTE = "[The messages up to the next note were written in this chat before you took part in it]"
END_NOTE = "[End of the earlier messages]"


async def import_history(turn: Turn, services: ChatServices) -> None:
    """Put the last messages of the chat from before this turn into its thread, if that is blank.

    Called by the task of the turn's chat before the model is asked. It takes 3 s at most, and a
    failure is only noted. A crash in between leaves the thread blank, to be begun again.
    """
    count, log = services.config.rules.import_messages, services.telemetry.log
    gateway, memories = services.number.gateway, services.store.memories
    if is_group(turn.key.chat):
        return  # a group's earlier messages come with the one that addresses us
    if not count or not turn.messages or not gateway.capabilities.lists_messages:
        return
    if not await memories.is_blank(turn.key):
        return
    listed: tuple[Message, ...] = ()
    with trio.move_on_after(PATIENCE_SECONDS) as scope:
        try:
            listed = await gateway.list_messages(
                turn.key.chat, from_me=None, since=0, count=count + len(turn.messages)
            )
        except GatewayError as error:
            # A new contact is unknown there, which is no fault.
            log.debug("no earlier messages", chat=turn.key, error=str(error))
            return
    if scope.cancelled_caught:
        log.warning("earlier messages did not come in time", chat=turn.key)
        return
    first = turn.messages[0].message
    known = {stored.message.id for stored in turn.messages}
    items = earlier_items(listed, known=known, before=first.sent_at, count=count)
    imported = await memories.begin_with(turn.key, items, now=services.telemetry.now())
    if imported and items:
        log.info("earlier messages imported", chat=turn.key, items=len(items) - 2)


def earlier_items(
    listed: Sequence[Message], *, known: Collection[str], before: float, count: int
) -> list[JsonObject]:
    """Messages as items of a thread, at most ``count`` of them, oldest first.

    ``listed``: newest first. ``known`` are the ids of those that the thread gets in another way; so
    does everything that was not written ``before`` (Unix seconds, 0: not known). Our own numbers'
    words are the assistant's, whatever their author.
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
    items: list[JsonObject] = [
        {
            "role": "assistant" if from_me else "user",
            "content": own_lines(side) if from_me else "\n".join(map(as_lines, side)),
        }
        for from_me, side in sides
    ]
    if not items:
        return []
    return [
        data_item("note", NOTE),
        *items,
        data_item("note", END_NOTE),
    ]


# -- an agent's words: put into the thread, so that the model knows them when it takes over ---


async def note_agent_messages(key: ChatKey, services: ChatServices, *, waiting_too: bool) -> None:
    """Put an agent's words into the thread, and the customer's that the agent answers.

    ``waiting_too``: also what waits for the agent, which is noted when that is over. A customer who
    wants no unasked messages has written that to the agent: it is kept, and the confirmation is the
    agent's. Called by the task of the chat.
    """
    store, telemetry = services.store, services.telemetry
    theirs = await store.inbox.waiting(key, from_me=True)
    customers = await store.handovers.to_note(key, waiting_too=waiting_too)
    now, messages = telemetry.now(), [stored.message for stored in customers]
    seen = await services.attachments.known(messages)
    items = _conversation(theirs, customers, seen, services.config.texts)
    if items:
        await store.threads.note_waiting(
            key,
            [stored.seq for stored in theirs],
            items,
            state="ignored",
            reason="agent",
            noted=[stored.seq for stored in customers],
            choice=wish_of(messages, services.config.rules.consent, opted_out=True).choice,
            now=now,
        )
    if theirs:
        telemetry.log.info("MANUAL_SYNC_SUCCESS", symbol="👥", messages=len(theirs))


def _conversation(
    theirs: tuple[StoredMessage, ...],
    customers: tuple[StoredMessage, ...],
    seen: BurstFiles,
    texts: Texts,
) -> list[JsonObject]:
    """Both sides' words in the order they were written."""
    items: list[JsonObject] = []
    everything = kept(sorted((*theirs, *customers), key=lambda stored: stored.seq))
    for from_me, group in groupby(everything, key=lambda stored: stored.message.from_me):
        side = list(group)
        items += agent_items(side, texts) if from_me else [burst_item(side, seen)]
    return items


# -- a thread's budget: kept after the answer, beside everything else -------------------------
#
# A summary is an optimisation: one that is lost to a crash, a stop or a fault of the model is made
# again after the chat's next turn. Until then the oldest turns are left out.


async def shorten_thread(key: ChatKey, budget: int, services: ChatServices) -> None:
    """Leave out the oldest turns of a thread that exceeds its budget, or sum them up.

    ``budget``: tokens. Any task may call it, one a chat at a time. It takes no longer than a run
    of the model may. Raises StoreError.
    """
    memories, telemetry = services.store.memories, services.telemetry
    tokens = int(TRANSCRIPT_BUDGETS * budget / LOWEST_RATIO)
    memory = await memories.recall(key, tokens=tokens)
    count = items_to_compact(memory, budget=budget)
    if not count:
        return
    item: JsonObject | None = None
    if services.config.rules.compaction == "summary":
        item = await _summary(key, memory, count, budget, services)
        if item is None:
            return
    last = memory.items[count - 1]
    if await memories.shorten(key, last, item, now=telemetry.now()):
        telemetry.log.info("thread shortened", symbol="✂", chat=key, items=count)


async def _summary(
    key: ChatKey, memory: Recollection, count: int, budget: int, services: ChatServices
) -> JsonObject | None:
    """Let the model sum up the oldest items; None if it does not."""
    hashed = services.model.contact_hash(key)
    request = summary_request(memory, memory.items[:count], budget=budget, contact_hash=hashed)
    response = await ask_aside(key, request, services, failure="no summary")
    if response is None or response.incomplete:
        return None
    return summary_item(response.text, budget=budget)


async def ask_aside(
    key: ChatKey,
    request: ModelRequest,
    services: ChatServices,
    *,
    failure: str,
    budget: Budget | None = None,
) -> ModelResponse | None:
    """Ask the model for something beside the turns of a chat; None if it has it not in time.

    It counts for the budget, which may refuse it. ``failure``: the log line if there is nothing.
    ``budget``: the number's, where the request names another model. Any task may call it.
    """
    budget = budget or services.config.rules.budget
    if not await may_ask(key, request, services, budget):
        return None
    request = replace_fields(request, may_act=False)
    response = await side_call(key, request, services, failed=failure)
    if response is None:
        return None
    metrics = services.telemetry.metrics
    metrics.count_tokens(response.usage)
    day = day_of(services.telemetry.now(), services.config.rules.zone)
    charge = Charge(day, use_of(response.usage, budget.price))
    metrics.cost.inc(charge.use.micros / MICROS)
    await services.store.usage.charge(key, charge)
    return response


async def may_ask(
    key: ChatKey, request: ModelRequest, services: ChatServices, budget: Budget
) -> bool:
    """Whether the model works, and the budget allows a request beside the turns of a chat."""
    if services.model.state.fault:
        return False
    day = day_of(services.telemetry.now(), services.config.rules.zone)
    wanted = Charge(day, expected_use(request, budget))
    return not await services.store.usage.refusal(key, wanted, budget)
