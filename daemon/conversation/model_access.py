"""The model server as chats share it: its engine, its state, and the places for runs.

While it is down, one chat at a time tries whether it is back. While it refuses everything, each
turn still asks: a refusal costs nothing, and the first answer ends it.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import trio

from daemon.assistant.port import Engine
from daemon.conversation.run_slots import RunSlots
from daemon.conversation.speech import Speaker
from daemon.domain.limits import Breaker, honoured
from daemon.domain.messages import ChatKey
from daemon.errors import ModelRejected, ModelTemporary
from daemon.observability.events import MODEL_BACK, MODEL_DOWN, MODEL_REFUSES
from daemon.observability.logs import Log

HASHES_KEPT = 2000
"""Chats whose hash is remembered."""

REFUSED_CHATS = 3
"""After refusals of so many chats in a row the server is at fault, whatever it says."""


class ModelState:
    """What calls of the model have shown of its server. Any task may report and ask."""

    def __init__(self, breaker: Breaker, *, log: Log) -> None:
        """Set it up for a server of which nothing is known; ``breaker`` belongs to it alone."""
        self._breaker = breaker
        self._log = log
        self._refused: set[ChatKey] = set()
        """The chats whose last request was refused, since the last answer to anybody."""
        self._waiting: dict[object, str] = {}
        self.refusal = ""
        """Why the server refuses every request; empty if it does not, as far as is known."""

    @property
    def is_down(self) -> bool:
        """True while the server is left alone because it fails again and again."""
        return self._breaker.is_open

    @property
    def fault(self) -> str:
        """What is wrong, in one line; empty if nothing is."""
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
        self.refusal = ""
        self._refused.clear()
        if was_wrong:
            self._log.event(MODEL_BACK)

    def failed(self, error: ModelTemporary) -> None:
        """A request failed, and may work later."""
        asked = honoured(error.retry_after)
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
    def somebody_waits(self, reason: str) -> Iterator[None]:
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
    """Names contacts for the log and the model's provider without saying who they are.

    ``key`` lies beside the store, so that names are stable here and mean nothing anywhere else.
    """

    @lru_cache(HASHES_KEPT)
    def name(chat: ChatKey) -> str:
        text = f"{chat.number}\0{chat.chat}".encode()
        return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]

    return name
