"""The prompts of one turn, attempt after attempt: shorter once one was too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from daemon.assistant.payloads.failures import shown_reason
from daemon.conversation.chat_info import ChatDetails
from daemon.conversation.services import ChatServices
from daemon.conversation.turn.answer import words_of
from daemon.domain.ids import is_group
from daemon.domain.messages import ChatKey, JsonObject, ModelRequest, Usage
from daemon.domain.prompt.context_line import (
    as_text,
    context_item,
    context_line,
    is_due,
    subject_of,
)
from daemon.domain.prompt.history_budget import (
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
from daemon.domain.prompt.message_text import (
    burst_item,
    burst_with_files,
    data_item,
    kept,
    unaddressed_item,
)
from daemon.domain.records import AttachmentKind, ChatUpdate, Fact, Recollection, ThreadItem, Turn
from daemon.errors import ContextTooLong, ModelRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request, with what has to be remembered once it is answered."""

    request: ModelRequest
    opening: tuple[JsonObject, ...]
    """Items of this turn that come before the burst, in the thread too: the context line."""
    context_text: str
    history_tokens: int
    """About how many tokens of the conversation so far are in it."""
    remembered_tokens: int
    """Our own estimate of the conversation so far, as far as it was read."""

    def chat_update(self, first_usage: Usage) -> ChatUpdate:
        """The update of the chat's record, from the server's count for this very request."""
        ratio = calibrated(request_estimate(self.request), first_usage.input_tokens)
        return ChatUpdate(context_text=self.context_text, token_ratio=ratio)


class PromptBuilder:
    """Builds the prompts of one turn, for the task of its chat; remembers what was too much."""

    def __init__(self, services: ChatServices) -> None:
        self._services = services
        self.history_budget = services.config.rules.history_tokens
        """Tokens that the conversation so far may take; less once it was too long for the model."""
        self._kinds: frozenset[AttachmentKind] = frozenset(("image", "preview", "file"))
        """In which forms the model is given files; fewer once it has refused them."""
        self._seen = NOTHING_SEEN
        self._prompt: Prompt

    async def build(self, turn: Turn) -> ModelRequest:
        """Put together the conversation so far, the moment, and the burst.

        The contact's facts come each time, and are not part of the thread. Unaddressed messages of
        a group precede the burst and become part of the thread with it. Takes at most a second
        besides its reads of the store.
        """
        services, budget = self._services, self.history_budget
        messages = [stored.message for stored in turn.messages]
        self._seen = await services.attachments.seen(messages, kinds=self._kinds)
        burst = burst_with_files(turn.messages, self._seen)
        unaddressed = await self._unaddressed(turn)
        memory, details = await self._recall(turn.key)
        known = (*facts_item(turn.key, memory.facts), *notes_item(memory.notes))
        past = shown(memory, budget=budget)
        context_text, moment = self._moment(memory, past, details)
        opening = (*moment, *unaddressed)
        request = ModelRequest(
            instructions=services.config.rules.instructions,
            items=(*known, *as_input(memory, past), *opening, burst),
            tools=services.config.toolbox.specs,
            model=services.config.rules.model,
            contact_hash=services.model.contact_hash(turn.key),
            compact_at=self._compact_at(memory, (*known, *opening, burst)),
        )
        estimate = memory.head.tokens + sum(entry.tokens for entry in past)
        self._prompt = Prompt(
            request=request,
            opening=opening,
            context_text=context_text,
            history_tokens=int(estimate * memory.chat.token_ratio),
            remembered_tokens=memory.head.tokens + sum(entry.tokens for entry in memory.items),
        )
        return request

    @property
    def request(self) -> ModelRequest:
        """The last prompt that was built."""
        return self._prompt.request

    def can_leave_out_more(self, error: ContextTooLong | ModelRejected) -> bool:
        """Whether the next prompt has less in it than the one that the model refused."""
        log = self._services.telemetry.log
        if isinstance(error, ContextTooLong):
            self.history_budget = min(self.history_budget, self._prompt.history_tokens) // 2
            # The text of documents takes their place; pictures stay while history can make room.
            self._kinds -= {"file"} if self.history_budget else self._kinds
            log.warning("too long for the model", history_tokens=self.history_budget)
            return True
        if not self._seen.attachments:
            return False
        self._kinds = frozenset()
        log.warning("files refused by the model, told without", error=str(error))
        return True

    def shown_reason(self, error: ModelRejected) -> str:
        """The server's reason for a refusal, without quotations of the request."""
        return shown_reason(error, map(words_of, self._prompt.request.items))

    def chat_update(self, first_usage: Usage) -> ChatUpdate:
        """The update of the chat's record after the answered request."""
        return self._prompt.chat_update(first_usage)

    def thread_items(self, turn: Turn) -> list[JsonObject]:
        """The items of the request that join the thread, before the answer."""
        return [*self._prompt.opening, burst_item(kept(turn.messages), self._seen)]

    def fits_with(self, tokens: int) -> bool:
        """True if the whole thread fits with so many tokens more in it."""
        return surely_fits(self._prompt.remembered_tokens + tokens, budget=self.history_budget)

    async def _recall(self, key: ChatKey) -> tuple[Recollection, ChatDetails | None]:
        """Read the thread, and beside it ask what the gateway knows of the chat."""
        details: ChatDetails | None = None

        async def look_up() -> None:
            nonlocal details
            details = await self._services.number.chat_info.details(key)

        tokens = int(self.history_budget / LOWEST_RATIO)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_up, name=f"chat info {key.chat}")
            memory = await self._services.store.memories.recall(key, tokens=tokens)
        return memory, details

    def _moment(
        self, memory: Recollection, past: Sequence[ThreadItem], details: ChatDetails | None
    ) -> tuple[str, tuple[JsonObject, ...]]:
        """The context, if the model has to be shown it again: its state, and its item."""
        config, now = self._services.config, self._services.telemetry.now()
        subject = subject_of(
            memory.chat,
            saved_name=details.name if details else "",
            labels=self._services.number.labels.of_chat(details, memory.chat.labels),
        )
        since = past[0].created_at if past else now
        if not is_due(memory.chat, subject, now=now, shown_since=since):
            return "", ()
        local = datetime.fromtimestamp(now, UTC).astimezone(config.rules.zone)
        return as_text(subject), (context_item(context_line(config.texts, subject, local)),)

    def _compact_at(self, memory: Recollection, beside: tuple[JsonObject, ...]) -> int:
        """From how many tokens on the server is to compact by itself; 0: never."""
        config = self._services.config
        if not config.rules.server_compacts:
            return 0
        rest = ModelRequest(
            instructions=config.rules.instructions, items=beside, tools=config.toolbox.specs
        )
        estimate = rough_estimate(rest)
        return int(self.history_budget * SERVER_SHARE + estimate * memory.chat.token_ratio)

    async def _unaddressed(self, turn: Turn) -> list[JsonObject]:
        """The group's messages to others since it was last answered."""
        limit = self._services.config.rules.group_lines
        if not limit or not is_group(turn.key.chat):
            return []
        lines = await self._services.store.references.unaddressed(turn, limit=limit + 1)
        missing = len(lines) > limit
        return [unaddressed_item(lines[-limit:], missing=missing)] if lines else []


def notes_item(notes: Sequence[str]) -> list[JsonObject]:
    """What colleagues have noted for the model, as an input item; none if there is nothing."""
    if not notes:
        return []
    lines = "\n".join(notes)
    return [data_item("colleagues", f"[Notes of colleagues about this chat]\n{lines}")]


def facts_item(key: ChatKey, facts: Sequence[Fact]) -> list[JsonObject]:
    """The facts about the contact as an input item; none if there are no facts."""
    if not facts:
        return []
    lines = "\n".join(f"{fact.id}: {fact.text}" for fact in facts)
    # A group has facts of its own: what is known of its members stays in their own chats.
    subject = "group" if is_group(key.chat) else "customer"
    return [data_item("facts", f"[Remembered about this {subject}]\n{lines}")]
