"""What one turn tells the model, attempt after attempt: less of it, once it was too much."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from daemon.assistant.payloads.failures import shown_reason
from daemon.conversation.chat_info import ChatDetails
from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.review import words_of
from daemon.conversation.turn.run import RunAnswer, run_model
from daemon.conversation.turn.run_progress import Progress
from daemon.conversation.turn.tool_actions import facts_item
from daemon.domain.ids import is_group
from daemon.domain.messages import ChatKey, JsonObject, ModelRequest, Usage
from daemon.domain.prompt.context import as_text, context_item, context_line, is_due, subject_of
from daemon.domain.prompt.history import (
    LOWEST_RATIO,
    SERVER_SHARE,
    as_input,
    calibrated,
    request_estimate,
    rough_estimate,
    shown,
    surely_fits,
)
from daemon.domain.prompt.media_text import NOTHING_SEEN
from daemon.domain.prompt.message_text import burst_item, burst_with_files, kept, overheard_item
from daemon.domain.records import AttachmentKind, Recollection, ThreadItem, Told, Turn
from daemon.errors import ContextTooLong, ModelRejected
from daemon.observability.logs import Log

# Preparing a turn's request: what the model is told, and what of it becomes part of the thread.


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
    deps: Dependencies,
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
    memory, details = await _recall(turn.key, deps, budget=budget)
    known = facts_item(turn.key, memory.facts)
    past = shown(memory, budget=budget)
    context_text, moment = _moment(memory, past, details, deps)
    opening = (*moment, *overheard)
    request = ModelRequest(
        instructions=deps.rules.instructions,
        items=(*known, *as_input(memory, past), *opening, burst),
        tools=deps.toolbox.specs,
        contact_hash=deps.contact_hash(turn.key),
        compact_at=_compact_at(memory, (*known, *opening, burst), deps, budget=budget),
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
    key: ChatKey, deps: Dependencies, *, budget: int
) -> tuple[Recollection, ChatDetails | None]:
    """Read the thread, and beside it ask what the gateway knows of the chat."""
    details: ChatDetails | None = None

    async def look_up() -> None:
        nonlocal details
        details = await deps.chat_info.details(key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_up, name=f"chat info {key.chat}")
        memory = await deps.store.memories.recall(key, tokens=int(budget / LOWEST_RATIO))
    return memory, details


def _moment(
    memory: Recollection,
    past: Sequence[ThreadItem],
    details: ChatDetails | None,
    deps: Dependencies,
) -> tuple[str, tuple[JsonObject, ...]]:
    """The context, if the model has to be told it again: its state, and its item."""
    now = deps.now()
    subject = subject_of(
        memory.chat,
        saved_name=details.name if details else "",
        labels=details.labels if details else None,
    )
    since = past[0].created_at if past else now
    if not is_due(memory.chat, subject, now=now, shown_since=since):
        return "", ()
    local = datetime.fromtimestamp(now, UTC).astimezone(deps.rules.zone)
    return as_text(subject), (context_item(context_line(deps.texts, subject, local)),)


def _compact_at(
    memory: Recollection,
    beside: tuple[JsonObject, ...],
    deps: Dependencies,
    *,
    budget: int,
) -> int:
    """From how many tokens on the server is to compact by itself; 0: never."""
    if not deps.rules.server_compacts:
        return 0
    rest = ModelRequest(
        instructions=deps.rules.instructions, items=beside, tools=deps.toolbox.specs
    )
    estimate = rough_estimate(rest)
    return int(budget * SERVER_SHARE + estimate * memory.chat.token_ratio)


class PromptBuilder:
    """Puts requests together for the task of one chat, and remembers what was too much."""

    def __init__(self, deps: Dependencies, log: Log) -> None:
        """For one turn; nothing is read yet."""
        self._deps = deps
        self._log = log
        self.history_budget = deps.rules.history_tokens
        """Tokens that the conversation so far may take; less once it was too long for the model."""
        self._kinds: frozenset[AttachmentKind] = frozenset(("image", "preview", "file"))
        """In which forms the model is given files; fewer once it has refused them."""
        self._seen = NOTHING_SEEN
        self._prepared: Prepared

    async def prepare(self, turn: Turn) -> None:
        """Put together what the model is told; to be done before each attempt."""
        messages = [stored.message for stored in turn.messages]
        self._seen = await self._deps.attachments.seen(messages, kinds=self._kinds)
        self._prepared = await prepare(
            turn,
            burst_with_files(turn.messages, self._seen),
            self._deps,
            budget=self.history_budget,
            overheard=await self._overheard(turn),
        )

    async def ask(self, turn: Turn, progress: Progress, *, attempt: int) -> RunAnswer:
        """Run the model on it; once more with half the history if it is too long for the model.

        Raises what `run_model` does.
        """
        try:
            return await self._run(turn, progress, attempt)
        except ContextTooLong:
            self.history_budget = min(self.history_budget, self._prepared.history_tokens) // 2
            # The text of documents is told instead; pictures stay while history can make room.
            self._kinds -= {"file"} if self.history_budget else self._kinds
            self._log.warning("too long for the model", history_tokens=self.history_budget)
        except ModelRejected as error:
            if not self._seen.attachments:
                raise
            self._kinds = frozenset()
            self._log.warning("files refused by the model, told without", error=str(error))
        await self.prepare(turn)
        return await self._run(turn, progress, attempt)

    def shown_reason(self, error: ModelRejected) -> str:
        """What the server says of a refusal, without what it may quote of the request."""
        return shown_reason(error, map(words_of, self._prepared.request.items))

    def told(self, answer: RunAnswer) -> Told:
        """What the chat is to remember of the request, now that it is answered."""
        return self._prepared.told(answer.first_usage)

    def heard(self, turn: Turn) -> list[JsonObject]:
        """What of the request becomes part of the thread, before the answer."""
        return [*self._prepared.opening, burst_item(kept(turn.messages), self._seen)]

    def fits_with(self, tokens: int) -> bool:
        """True if surely nothing has to be left out of the thread with so much more in it."""
        return surely_fits(self._prepared.remembered_tokens + tokens, budget=self.history_budget)

    async def _run(self, turn: Turn, progress: Progress, attempt: int) -> RunAnswer:
        return await run_model(turn, self._prepared.request, progress, self._deps, attempt=attempt)

    async def _overheard(self, turn: Turn) -> list[JsonObject]:
        """What the group has said among itself since it was last answered."""
        limit = self._deps.rules.group_lines
        if not limit or not is_group(turn.key.chat):
            return []
        lines = await self._deps.store.references.overheard(turn, limit=limit + 1)
        missing = len(lines) > limit
        return [overheard_item(lines[-limit:], missing=missing)] if lines else []
