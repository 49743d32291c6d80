"""Dependencies of chats' tasks in three groups: services, live configuration, telemetry."""

from dataclasses import dataclass

from daemon.conversation.attachments import Attachments
from daemon.conversation.chat_info import ChatInfoCache, ChatLabels
from daemon.conversation.knowledge.base import KnowledgeBase
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.model_access import ModelAccess
from daemon.conversation.number_state import NumberState
from daemon.conversation.send_pace import SendPace
from daemon.conversation.speech import VoiceNotes
from daemon.conversation.telemetry import Telemetry
from daemon.gateway.port import Gateway
from daemon.ledger.ledger import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberAccess:
    """One number's gateway, and what is known of it. All chats of the number share it."""

    name: str
    """The number of a `ChatKey`."""
    gateway: Gateway
    pace: SendPace
    state: NumberState
    chat_info: ChatInfoCache
    labels: ChatLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServices:
    """The services of a chat's task."""

    store: Store
    model: ModelAccess
    number: NumberAccess
    attachments: Attachments
    voice: VoiceNotes
    knowledge: KnowledgeBase | None
    """The number's documents; None if it has none."""
    config: LiveConfig
    """Rules, texts, tools and validators, which a reload changes."""
    telemetry: Telemetry
