"""Preparing a turn's request: what the model is told, and what of it becomes part of the thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from daemon.chats.chat_info import ChatDetails
from daemon.chats.conversation import facts_item
from daemon.chats.dependencies import Dependencies
from daemon.ledger import Recollection, ThreadItem, Told, Turn
from daemon.model import ChatKey, JsonObject, ModelRequest, Usage
from daemon.prompt.compaction import (
    LOWEST_RATIO,
    SERVER_SHARE,
    as_input,
    calibrated,
    request_estimate,
    rough_estimate,
    shown,
)
from daemon.prompt.context import as_text, context_item, context_line, is_due, subject_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request, with what has to be remembered once it is answered."""

    request: ModelRequest
    opening: tuple[JsonObject, ...]
    """Items of this turn that come before the burst, in the thread too: the context line."""
    context_text: str
    history_tokens: int
    """About how many tokens of the conversation so far are in it."""
    remembered_tokens: int
    """Our own estimate of the conversation so far, as far as it was read."""

    def told(self, first_usage: Usage) -> Told:
        """What the chat is to remember, given what the server counted for this very request."""
        ratio = calibrated(request_estimate(self.request), first_usage.input_tokens)
        return Told(context_text=self.context_text, token_ratio=ratio)


async def prepare(
    turn: Turn,
    burst: JsonObject,
    needs: Dependencies,
    *,
    budget: int,
    overheard: Sequence[JsonObject] = (),
) -> Prepared:
    """Put together what the model is told: the conversation so far, the moment, the burst.

    ``budget`` is what the conversation so far may take, in tokens. What is remembered of the
    contact is told each time, beside the instructions, and is no part of the thread.
    ``overheard`` comes before the burst and becomes part of the thread with it.
    Called by the task of the turn's chat; takes a second at most beside its read of the store.
    """
    memory, details = await _recall(turn.key, needs, budget=budget)
    known = facts_item(turn.key, memory.facts)
    past = shown(memory, budget=budget)
    context_text, moment = _moment(memory, past, details, needs)
    opening = (*moment, *overheard)
    request = ModelRequest(
        instructions=needs.rules.instructions,
        items=(*known, *as_input(memory, past), *opening, burst),
        tools=needs.toolbox.specs,
        contact_hash=needs.contact_hash(turn.key),
        compact_at=_compact_at(memory, (*known, *opening, burst), needs, budget=budget),
    )
    estimate = memory.head.tokens + sum(entry.tokens for entry in past)
    return Prepared(
        request=request,
        opening=opening,
        context_text=context_text,
        history_tokens=int(estimate * memory.chat.token_ratio),
        remembered_tokens=memory.head.tokens + sum(entry.tokens for entry in memory.items),
    )


async def _recall(
    key: ChatKey, needs: Dependencies, *, budget: int
) -> tuple[Recollection, ChatDetails | None]:
    """Read the thread, and beside it ask what Whapi knows of the chat."""
    details: ChatDetails | None = None

    async def look_up() -> None:
        nonlocal details
        details = await needs.chat_info.details(key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_up, name=f"chat info {key.chat}")
        memory = await needs.store.memories.recall(key, tokens=int(budget / LOWEST_RATIO))
    return memory, details


def _moment(
    memory: Recollection,
    past: Sequence[ThreadItem],
    details: ChatDetails | None,
    needs: Dependencies,
) -> tuple[str, tuple[JsonObject, ...]]:
    """The context, if the model has to be told it again: its state, and its item."""
    now = needs.now()
    subject = subject_of(
        memory.chat,
        saved_name=details.name if details else "",
        labels=details.labels if details else None,
    )
    since = past[0].created_at if past else now
    if not is_due(memory.chat, subject, now=now, shown_since=since):
        return "", ()
    local = datetime.fromtimestamp(now, UTC).astimezone(needs.rules.zone)
    return as_text(subject), (context_item(context_line(needs.texts, subject, local)),)


def _compact_at(
    memory: Recollection,
    beside: tuple[JsonObject, ...],
    needs: Dependencies,
    *,
    budget: int,
) -> int:
    """From how many tokens on the server is to compact by itself; 0: never."""
    if not needs.rules.server_compacts:
        return 0
    rest = ModelRequest(
        instructions=needs.rules.instructions, items=beside, tools=needs.toolbox.specs
    )
    estimate = rough_estimate(rest)
    return int(budget * SERVER_SHARE + estimate * memory.chat.token_ratio)
