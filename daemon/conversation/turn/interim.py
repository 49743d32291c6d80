"""What tools say to the customer while they work: stored at once, sent beside the run."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.signals import Stopping
from daemon.conversation.turn.run_progress import Progress
from daemon.domain.messages import FunctionCall, JsonObject
from daemon.domain.prompt.data import data_item
from daemon.domain.records import NewPart, Turn
from daemon.domain.rendering.outgoing import shown_line
from daemon.ledger.runs import call_key

MAX_CHARACTERS = 4096
"""WhatsApp's limit of one text."""


class Interim:
    """The voice of the tools in one attempt at a turn. Made by the chat's task for each attempt."""

    def __init__(
        self,
        turn: Turn,
        deps: Dependencies,
        progress: Progress,
        *,
        nursery: trio.Nursery,
        deliver: Callable[[], Awaitable[None]],
    ) -> None:
        """``deliver`` sends what waits in the outbox; ``nursery`` lasts until that is done."""
        self._turn = turn
        self._deps = deps
        self._progress = progress
        self._nursery = nursery
        self._deliver = deliver
        self._waiting = False
        self._sending = False
        self._open = True

    def close(self) -> None:
        """Take nothing more. What is being sent is finished; the rest is sent with the answer."""
        self._open = False

    async def say(self, key: str, ordinal: int, part: NewPart) -> bool:
        """Store one message and have it sent; False if it will not be said.

        ``key`` is the idempotency key of the call, ``ordinal`` counts what the call says. From
        here on the run has had an effect: it is not superseded any more.
        """
        if part.kind == "text":
            part = replace(part, body=part.body.strip()[:MAX_CHARACTERS])
        if not self._open or (part.kind == "text" and not part.body):
            return False
        self._progress.effects = True
        deps = self._deps
        new = await deps.store.interim.say(self._turn, key, ordinal, part, now=deps.now())
        if new:
            deps.log.info("a tool says something", symbol="🤖", turn=self._turn.request_id)
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
    deps: Dependencies,
    progress: Progress,
    *,
    deliver: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Let tools speak by ``progress`` for the length of the block, which is one attempt.

    At its end a send under way is finished: it is not cancelled with the run, since then nobody
    would know whether it was made. ``deliver`` sends what waits in the outbox of the chat.
    """
    async with trio.open_nursery() as nursery:
        interim = Interim(turn, deps, progress, nursery=nursery, deliver=deliver)
        progress.speak = interim.say
        try:
            yield
        finally:
            interim.close()


async def spoken_items(
    turn: Turn, calls: Sequence[FunctionCall], known: set[str], deps: Dependencies
) -> list[JsonObject]:
    """What the calls of a round have said, as items to put before the calls.

    ``known`` holds the keys of the calls that were seen already, and learns those of these.
    """
    said = await deps.store.interim.said(turn)
    items: list[JsonObject] = []
    for key in dict.fromkeys(call_key(turn.id, call) for call in calls):
        if key not in known:
            known.add(key)
            items += [_item(part) for part in said.get(key, ())]
    return items


def _item(part: NewPart) -> JsonObject:
    if part.kind == "text":
        return {"role": "assistant", "content": part.body}
    return data_item("sent", shown_line(part.kind, part.body, part.payload))
