"""What the tasks of chats work with, given to them by the composer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, Protocol

import trio

from daemon.assistant.port import Engine
from daemon.conversation.attachments import Attachments
from daemon.conversation.budget import CallBudget
from daemon.conversation.chat_info import ChatInfoCache, ChatLabels
from daemon.conversation.live_config import ChatRules, LiveConfig
from daemon.conversation.model_state import ModelState
from daemon.conversation.number_state import ChannelState
from daemon.conversation.pacing import SendPace
from daemon.conversation.turn.traces import TurnTraces
from daemon.domain.messages import ChatKey
from daemon.domain.texts import Texts
from daemon.domain.validation.results import Validator
from daemon.gateway.port import Gateway
from daemon.ledger.ledger import Store
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.tools.toolbox import Toolbox


class Speaker(Protocol):
    """A model that speaks."""

    @property
    def ending(self) -> Literal["ogg", "mp3"]:
        """Of the files that it makes."""

    async def speak(self, words: str) -> bytes:
        """The words as a file; raises AssistantError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Everything a chat's task needs from the rest."""

    store: Store
    engine: Engine
    gateway: Gateway
    chat_info: ChatInfoCache
    live_config: LiveConfig
    """Rules, texts, tools and validators, which a reload changes."""
    attachments: Attachments
    channel: SendPace
    channel_state: ChannelState
    labels: ChatLabels
    traces: TurnTraces
    model_state: ModelState
    run_slots: trio.CapacityLimiter
    """The places for runs of all chats; see `daemon.conversation.turn.limits.run_slot`."""
    log: Log
    metrics: Metrics
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    boot_clock: Callable[[], float]
    """Seconds that also pass while the machine sleeps: see `daemon.system.process`."""
    random: Random
    contact_hash: Callable[[ChatKey], str]
    """An anonymous, stable name for a contact."""
    speech: Speaker | None = None
    """Answers voice notes with voice notes; None: answers are written."""

    @property
    def rules(self) -> ChatRules:
        """The settings that chats go by at this moment."""
        return self.live_config.current.rules

    @property
    def texts(self) -> Texts:
        """What the daemon says by itself, at this moment."""
        return self.live_config.current.texts

    @property
    def toolbox(self) -> Toolbox:
        """The tools of this moment."""
        return self.live_config.current.toolbox

    @property
    def validators(self) -> tuple[Validator, ...]:
        """What an answer has to pass at this moment, in order."""
        return self.live_config.current.validators

    @property
    def call_budget(self) -> CallBudget:
        """What pays for calls that belong to no run."""
        return CallBudget(self.store.usage, self.live_config, metrics=self.metrics, now=self.now)

    def pinned(self) -> "Dependencies":
        """The same, with the guidance of this moment for good: for one turn from end to end."""
        return replace(self, live_config=LiveConfig(self.live_config.current))
