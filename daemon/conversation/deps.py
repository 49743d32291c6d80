"""What the tasks of chats work with, given to them by the composer."""

from collections.abc import Awaitable, Callable
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
from daemon.conversation.pacing import Channel
from daemon.conversation.turn.traces import TurnTraces
from daemon.domain.messages import ChatKey, Message
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.texts import Texts
from daemon.domain.validation.results import Validator
from daemon.gateway.whapi.payloads.answers import ChannelHealth
from daemon.ledger.ledger import Store
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.tools.toolbox import Toolbox

Presence = Literal["typing", "recording", "pause"]


class Gateway(Protocol):
    """The calls of Whapi that a chat makes. They raise only errors of `GatewayError`."""

    @property
    def seconds_ahead(self) -> float | None:
        """By how much the gateway's clock is ahead of ours, as its last answers say.

        0: they are in step; None: it has not answered yet.
        """

    async def send(
        self, chat: str, message: Outgoing, *, before: Callable[[], Awaitable[None]]
    ) -> str:
        """Send one message, once; gives WhatsApp's message id, empty for a reaction.

        ``before`` is awaited when the connection stands, right before the first byte of the
        request; if it raises, nothing was sent, and its error leaves this call.
        """

    async def set_presence(self, chat: str, presence: Presence) -> None:
        """Show the customer that we are typing, or stop showing it."""

    async def subscribe_presence(self, contact: str) -> None:
        """Ask to be told when the contact types."""

    async def mark_read(self, message_id: str) -> None:
        """Show the author of a message that it was read."""

    async def health(self) -> ChannelHealth:
        """How the channel is, as Whapi says."""

    async def find_lid(self, contact: str) -> str:
        """The other chat id of a phone number, ``<digits>@lid``; empty if there is none."""

    async def list_messages(
        self, chat: str, *, from_me: bool | None, since: float, count: int
    ) -> tuple[Message, ...]:
        """The newest messages of a chat, newest first."""


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
    channel: Channel
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
    """Seconds that also pass while the machine sleeps: see `daemon.system.boot_clock`."""
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
