"""What the tasks of chats work with, given to them by the composer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

import trio

from daemon.assistant.engine import Engine
from daemon.brakes import DEFAULT_BRAKES, BrakeRules
from daemon.breaker import Breaker
from daemon.budget import NO_LIMITS, Budget
from daemon.chats.attachments import Attachments
from daemon.chats.channel import Channel
from daemon.chats.channel_state import ChannelState
from daemon.chats.chat_info import ChatInfoCache
from daemon.chats.chat_labels import ChatLabels
from daemon.chats.escalation import EscalationRules
from daemon.model import ChatKey, Message
from daemon.observe.logs import Log
from daemon.observe.metrics import Metrics
from daemon.outgoing import Outgoing
from daemon.store.store import Store
from daemon.texts import Texts
from daemon.tools.toolbox import Toolbox
from daemon.validation.verdicts import Validator
from daemon.verdicts import Policy
from daemon.whapi.answers import ChannelHealth
from daemon.window import WindowRules

Presence = Literal["typing", "recording", "pause"]


class Gateway(Protocol):
    """The calls of Whapi that a chat makes. They raise only errors of `WhapiError`."""

    async def send(self, chat: str, message: Outgoing) -> str:
        """Send one message, once; gives WhatsApp's message id, empty for a reaction."""

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
class ChatRules:
    """The settings that chats go by. Times in seconds."""

    instructions: str
    language: str
    zone: ZoneInfo
    window: WindowRules
    idle_seconds: float
    run_timeout_seconds: float
    max_tool_rounds: int
    history_tokens: int
    """Of the conversation so far, as the server counts them."""
    compaction: Literal["drop", "summary"]
    """What becomes of the oldest turns of a conversation that exceeds these."""
    server_compacts: bool
    """Whether the model server is asked to compact conversations before that."""
    import_messages: int
    """Of the time before Recado, that a new thread begins with; 0: none."""
    pause_seconds: float
    """How long an agent's message keeps the bot out of a chat; 0: not at all."""
    max_age_seconds: float
    """Older messages are not answered any more."""
    messages_per_minute: float
    """Messages of all chats together while there is typing; 0: no limit."""
    policy: Policy
    """Which messages are answered."""
    answer_calls: bool
    """Say after a missed call that nobody takes it here."""
    group_quote: bool
    """Answers in a group quote the message that they answer."""
    group_lines: int
    """Of a group's talk since the last answer that the model is told of."""
    typing: bool
    """Show the typing indicator and keep a human pace."""
    read_receipts: bool = True
    """Mark what a turn answers as read."""
    presence: bool = True
    """Ask WhatsApp to tell when contacts type, and heed it."""
    link_preview: bool = False
    """Let WhatsApp show previews of links."""
    spoken_characters: int = 700
    """Of one voice note; a longer answer is cut."""
    files_folder: Path | None = None
    """The files that tools may send by their names."""
    escalation: EscalationRules = field(default_factory=EscalationRules)
    budget: Budget = NO_LIMITS
    brakes: BrakeRules = DEFAULT_BRAKES
    validation_cooldown_seconds: float = 300.0
    """The model is asked to answer anew at most once in this time a chat."""
    agent_seconds: float = 5.0
    """An agent's messages are gathered so long after the last (the replaced system's value)."""
    echo_seconds: float = 3.0
    """The echo of a send comes within a second or two; after this the chat itself is asked."""
    retry_seconds: float = 1.0
    """The first wait before a model call or a send is tried again; it doubles with each try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Everything a chat's task needs from the rest."""

    store: Store
    engine: Engine
    gateway: Gateway
    chat_info: ChatInfoCache
    toolbox: Toolbox
    validators: tuple[Validator, ...]
    """What an answer has to pass, in order."""
    rules: ChatRules
    attachments: Attachments
    channel: Channel
    channel_state: ChannelState
    labels: ChatLabels
    model_breaker: Breaker
    """Says when the model server is to be left alone."""
    run_slots: trio.CapacityLimiter
    """The places for runs of all chats; see `daemon.chats.brakes.run_slot`."""
    texts: Texts
    log: Log
    metrics: Metrics
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    random: Random
    contact_hash: Callable[[ChatKey], str]
    """An anonymous, stable name for a contact."""
    speech: Speaker | None = None
    """Answers voice notes with voice notes; None: answers are written."""
