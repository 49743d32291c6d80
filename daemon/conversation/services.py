"""What the tasks of chats work with, in three groups: services, live configuration, telemetry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from daemon.conversation.attachments import Attachments
from daemon.conversation.chat_info import ChatInfoCache, ChatLabels
from daemon.conversation.listening import CallBudget
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.model_access import ModelAccess
from daemon.conversation.number_state import NumberState
from daemon.conversation.send_pace import SendPace
from daemon.conversation.turn.traces import TurnTraces
from daemon.gateway.port import Gateway
from daemon.ledger.ledger import Store
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a process reports to, its clocks, and its source of randomness."""

    log: Log
    metrics: Metrics
    traces: TurnTraces
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    boot_clock: Callable[[], float]
    """Seconds that also pass while the machine sleeps: see `daemon.system.process`."""
    random: Random


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberAccess:
    """One number's gateway, and what is known of it. All chats of the number share it."""

    gateway: Gateway
    pace: SendPace
    state: NumberState
    chat_info: ChatInfoCache
    labels: ChatLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServices:
    """What the task of a chat works with."""

    store: Store
    model: ModelAccess
    number: NumberAccess
    attachments: Attachments
    config: LiveConfig
    """Rules, texts, tools and validators, which a reload changes."""
    telemetry: Telemetry

    @property
    def call_budget(self) -> CallBudget:
        """What pays for calls that belong to no run."""
        telemetry = self.telemetry
        return CallBudget(
            self.store.usage, self.config, metrics=telemetry.metrics, now=telemetry.now
        )

    def pinned(self) -> "ChatServices":
        """The same, with the configuration of this moment for good: for one turn."""
        return replace(self, config=LiveConfig(self.config.current))
