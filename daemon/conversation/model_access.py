"""The model server as chats share it: its engine, its state, and the places for runs.

While it is down, one chat at a time tries whether it is back. While it refuses everything, each
turn still asks: a refusal costs nothing, and the first answer ends it.
"""

import hashlib
import hmac
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import trio

from daemon.assistant.port import Engine
from daemon.conversation.signals import ChatSignals
from daemon.conversation.speech import Speaker
from daemon.domain.limits import Breaker, honoured
from daemon.domain.messages import ChatKey
from daemon.errors import ModelRejected, ModelTemporary
from daemon.observability.events import MODEL_BACK, MODEL_DOWN, MODEL_REFUSES
from daemon.observability.logs import Log

# -- the places for runs of the model, shared out fairly between our numbers -----------------------


MOST_OF_ONE = 0.75
"""The part of the places that one of several numbers may have: a flood of its customers leaves the
others some, and a run takes up to two minutes."""


class RunSlots:
    """Limits how many runs go on at the same time. Any task may ask.

    A free place goes to the number that has fewest; within a number, to who waits longest.
    """

    def __init__(self, total: int, *, numbers: int = 1) -> None:
        self.total = total
        """How many places there are; may be changed at any time."""
        self._numbers = numbers
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[trio.Event]] = {}

    @property
    def taken(self) -> int:
        """The number of places in use."""
        return self._taken.total()

    @property
    def waiting(self) -> int:
        """The number of runs that wait for a place."""
        return sum(map(len, self._waiting.values()))

    def resize(self, total: int) -> None:
        """Change how many places there are; runs under way keep theirs."""
        self.total = total
        self._share_out()

    def take_now(self, number: str) -> bool:
        """Take a place for a run of a number, if there is one for it."""
        if self._waiting.get(number) or not self._may(number):
            return False
        self._taken[number] += 1
        return True

    async def take(self, number: str) -> None:
        """Take a place for a run of a number, as soon as there is one for it."""
        granted = trio.Event()
        queue = self._waiting.setdefault(number, deque())
        queue.append(granted)
        self._share_out()
        try:
            await granted.wait()
        except trio.Cancelled:
            if granted.is_set():
                self.give_back(number)
            else:
                queue.remove(granted)
                self._forget(number)
            raise

    def give_back(self, number: str) -> None:
        """Release a place."""
        self._taken[number] -= 1
        if not self._taken[number]:
            del self._taken[number]
        self._share_out()

    def _may(self, number: str) -> bool:
        most = self.total if self._numbers == 1 else max(1, math.floor(self.total * MOST_OF_ONE))
        return self.taken < self.total and self._taken[number] < most

    def _share_out(self) -> None:
        while possible := [number for number in self._waiting if self._may(number)]:
            number = min(possible, key=self._taken.__getitem__)
            self._waiting[number].popleft().set()
            self._taken[number] += 1
            self._forget(number)

    def _forget(self, number: str) -> None:
        """Keep the queues in the order in which their numbers were served last."""
        queue = self._waiting.pop(number)
        if queue:
            self._waiting[number] = queue


@asynccontextmanager
async def run_slot(
    slots: RunSlots, number: str, signals: ChatSignals, *, waiting: Callable[[bool], None]
) -> AsyncIterator[bool]:
    """Hold one of the places for runs during the block.

    Gives False, without a place, if the daemon stops or an agent takes over meanwhile. A customer
    who goes on writing keeps the place in the queue. ``waiting`` is called when a wait begins
    (True) and when it ends (False).
    """
    held = slots.take_now(number)

    async def wait_for_place() -> None:
        nonlocal held
        await slots.take(number)
        held = True

    try:
        if not held:
            waiting(True)
            await signals.unless_interrupted(wait_for_place)
            waiting(False)
        yield held
    finally:
        if held:
            slots.give_back(number)


HASHES_KEPT = 2000
"""Chats whose hash is remembered."""

REFUSED_CHATS = 3
"""After refusals of so many chats in a row the server is at fault, whatever it says."""


class ModelState:
    """The state of a model server, as calls have shown it. Any task may report and ask."""

    def __init__(self, breaker: Breaker, *, log: Log) -> None:
        """Set it up for a server of which nothing is known; ``breaker`` belongs to it alone."""
        self._breaker = breaker
        self._log = log
        self._refused: set[ChatKey] = set()
        """The chats whose last request was refused, since the last answer to anybody."""
        self._waiting: dict[object, str] = {}
        self.refusal = ""
        """Why the server refuses every request; empty if it does not, as far as is known."""
        self.failure = ""
        """Why the last request was not answered; empty if it was."""
        self.answered_at = -math.inf
        """When a request was answered last, on trio's clock."""

    @property
    def is_down(self) -> bool:
        """True while the server is left alone because it fails again and again."""
        return self._breaker.is_open

    @property
    def fault(self) -> str:
        """The present fault in one line; empty if there is none."""
        if self.refusal:
            return f"the model server refuses every request: {self.refusal}"
        if self.is_down:
            return "the model server does not answer"
        if self._waiting:
            why = next(iter(self._waiting.values()))
            return f"chats that wait for the model server: {len(self._waiting)} ({why})"
        return ""

    def wait(self) -> float:
        """Seconds to leave the server alone; 0: ask it, then report what came of it."""
        return self._breaker.wait(trio.current_time())

    def answered(self) -> None:
        """A request was answered."""
        was_wrong = self._breaker.succeeded() or bool(self.refusal)
        self.refusal = self.failure = ""
        self.answered_at = trio.current_time()
        self._refused.clear()
        if was_wrong:
            self._log.event(MODEL_BACK)

    def failed(self, error: ModelTemporary) -> None:
        """A request failed, and may work later."""
        asked = honoured(error.retry_after)
        self.failure = str(error)
        if self._breaker.failed(trio.current_time(), retry_after=asked):
            self._log.event(MODEL_DOWN, error=str(error))

    def refused(self, error: ModelRejected, key: ChatKey, *, reason: str) -> bool:
        """A chat's request was refused for good; True if every request is, as far as is known.

        ``reason`` is what the server says, fit to be shown. One alert, until a request is answered.
        """
        self._breaker.succeeded()
        self._refused.add(key)
        if self.refusal or (error.about_input and len(self._refused) < REFUSED_CHATS):
            return bool(self.refusal)
        self.refusal = reason
        self._log.event(MODEL_REFUSES, error=reason)
        return True

    def undecided(self) -> None:
        """A request showed nothing of the server, such as a cancelled one: the next may ask."""
        self._breaker.released()

    def try_now(self) -> None:
        """An operator wants the server asked again at once."""
        self._breaker.try_now()

    @contextmanager
    def customer_waits(self, reason: str) -> Iterator[None]:
        """A customer waits during this block because the server has failed for this reason."""
        token = object()
        self._waiting[token] = reason
        try:
            yield
        finally:
            del self._waiting[token]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccess:
    """The model server of a number, and what is known of it; numbers with the same one share it."""

    engine: Engine
    state: ModelState
    run_slots: RunSlots
    """The places for runs of all chats of the process."""
    contact_hash: Callable[[ChatKey], str]
    """An anonymous, stable name for a contact."""
    speech: Speaker | None = None
    """Answers voice notes with voice notes; None: answers are written."""


def contact_hasher(key: bytes) -> Callable[[ChatKey], str]:
    """Anonymous names of contacts for the log and the model's provider.

    ``key`` lies beside the store, so that names are stable here and mean nothing anywhere else.
    """

    @lru_cache(HASHES_KEPT)
    def name(chat: ChatKey) -> str:
        text = f"{chat.number}\0{chat.chat}".encode()
        return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]

    return name
