"""The progress of a run, and the messages that its tools send while they work.

A message of a tool is stored at once and sent beside the run.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

import trio

from daemon.conversation.services import ChatServices
from daemon.conversation.signals import Stopping
from daemon.conversation.telemetry import Telemetry
from daemon.domain.messages import FunctionCall, JsonObject
from daemon.domain.prompt.message_text import data_item
from daemon.domain.records import NewPart, Turn
from daemon.domain.rendering.outgoing import shown_line
from daemon.ledger.outbox import InterimMessages
from daemon.ledger.runs import call_key

MAX_CHARACTERS = 4096
"""WhatsApp's limit of one text."""

SendInterim = Callable[[str, int, NewPart], Awaitable[bool]]
"""Sends a message during a run: the idempotency key of the tool call, the ordinal of the message
within the call, the message. Returns False if it will not be sent."""


async def _not_sent(_key: str, _ordinal: int, _part: NewPart) -> bool:
    return False


@dataclass(slots=True)
class Progress:
    """The progress of a run; shared by the run, its tool calls and the chat's task."""

    effects: bool = False
    """True once a tool with side effects has started, or an interim message was queued: from then
    on the run is not superseded."""
    effect_outputs: dict[str, str] = field(default_factory=dict)
    """Outputs of the calls with side effects that this run has made, by what they do."""
    send_interim: SendInterim = _not_sent
    """Sends a tool's message while the tool works."""
    time_limit: trio.CancelScope | None = None
    """The scope that ends the run when it takes too long."""

    @contextmanager
    def clock_stopped(self, longest_seconds: float) -> Iterator[None]:
        """Let a block take up to so many seconds without counting them as the run's own."""
        limit = self.time_limit
        if limit is None:
            yield
            return
        began, deadline = trio.current_time(), limit.deadline
        limit.deadline = deadline + longest_seconds
        try:
            yield
        finally:
            limit.deadline = deadline + min(trio.current_time() - began, longest_seconds)


class Interim:
    """Queues the messages of the tools in one attempt at a turn, and starts their delivery."""

    def __init__(
        self,
        turn: Turn,
        messages: InterimMessages,
        progress: Progress,
        telemetry: Telemetry,
        *,
        nursery: trio.Nursery,
        deliver: Callable[[], Awaitable[None]],
    ) -> None:
        """``deliver`` sends what waits in the outbox; ``nursery`` lasts until that is done."""
        self._turn = turn
        self._messages = messages
        self._progress = progress
        self._telemetry = telemetry
        self._nursery = nursery
        self._deliver = deliver
        self._waiting = False
        self._sending = False
        self._open = True

    def close(self) -> None:
        """Take nothing more. What is being sent is finished; the rest is sent with the answer."""
        self._open = False

    async def add(self, key: str, ordinal: int, part: NewPart) -> bool:
        """Store one message and start its delivery; False if it will not be sent.

        ``key`` is the idempotency key of the call, ``ordinal`` counts its messages. From here
        on the run has had an effect: it is not superseded any more.
        """
        if part.kind == "text":
            part = replace(part, body=part.body.strip()[:MAX_CHARACTERS])
        if not self._open or (part.kind == "text" and not part.body):
            return False
        self._progress.effects = True
        now = self._telemetry.now()
        if await self._messages.add(self._turn, key, ordinal, part, now=now):
            turn = self._turn.request_id
            self._telemetry.log.info("a tool says something", symbol="🤖", turn=turn)
        if self._open:
            self._waiting = True
            if not self._sending:
                self._sending = True
                self._nursery.start_soon(self._send, name="interim messages")
        return True

    async def _send(self) -> None:
        """Send what waits; ends when nothing does, or when the daemon stops."""
        try:
            while self._waiting:
                self._waiting = False
                await self._deliver()
        except Stopping:
            return  # the next start finds the row
        finally:
            self._sending = False


@asynccontextmanager
async def open_interim(
    turn: Turn,
    services: ChatServices,
    progress: Progress,
    *,
    deliver: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Let tools send messages by ``progress`` during the block, which is one attempt.

    At its end a send under way is finished: cancelled with the run, its
    outcome would be unknown. ``deliver`` sends what waits in the outbox of the chat.
    """
    async with trio.open_nursery() as nursery:
        interim = Interim(
            turn,
            services.store.interim,
            progress,
            services.telemetry,
            nursery=nursery,
            deliver=deliver,
        )
        progress.send_interim = interim.add
        try:
            yield
        finally:
            interim.close()


async def interim_items(
    turn: Turn, calls: Sequence[FunctionCall], known: set[str], messages: InterimMessages
) -> list[JsonObject]:
    """The messages sent by the calls of a round, as items to put before the calls.

    ``known`` holds the keys of the calls that were seen already, and learns those of these.
    """
    sent = await messages.sent_parts(turn)
    items: list[JsonObject] = []
    for key in dict.fromkeys(call_key(turn.id, call) for call in calls):
        if key not in known:
            known.add(key)
            items += [_item(part) for part in sent.get(key, ())]
    return items


def _item(part: NewPart) -> JsonObject:
    if part.kind == "text":
        return {"role": "assistant", "content": part.body}
    return data_item("sent", shown_line(part.kind, part.body, part.payload))
