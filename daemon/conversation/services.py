"""Dependencies of chats' tasks in three groups: services, live configuration, telemetry."""

from dataclasses import dataclass, replace

import msgspec

from daemon.conversation.attachments import Attachments
from daemon.conversation.chat_info import ChatInfoCache
from daemon.conversation.knowledge.base import KnowledgeBase
from daemon.conversation.labels import ChatLabels
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.model_access import ModelAccess
from daemon.conversation.number_state import NumberState
from daemon.conversation.send_pace import SendPace
from daemon.conversation.speech import VoiceNotes
from daemon.conversation.telemetry import Telemetry
from daemon.domain.versions import Version, hash_of
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

    @property
    def version(self) -> Version:
        """What an answer is made with at this moment."""
        return self.version_now(self.config.current.version)

    def version_now(self, version: Version) -> Version:
        """A version with what changes while a configuration is in force."""
        remote = self.config.toolbox.remote_specs
        if remote:
            tools = hash_of(version.tools, *map(msgspec.json.encode, remote))
            version = replace(version, tools=tools)
        if self.knowledge is not None:
            version = replace(version, knowledge=self.knowledge.digest)
        return version
