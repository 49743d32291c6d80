"""The gateway of a rehearsal: it keeps what is sent in memory and knows no network."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import msgspec

from daemon.domain.messages import ChatInfo, Label, Message, NumberHealth, Webhook
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.templates import Template
from daemon.gateway.port import Before, Capabilities, Indicator

CAPABILITIES = Capabilities(
    kinds=frozenset(
        [
            *("text", "voice", "image", "document", "location", "contact", "buttons", "list"),
            *("poll", "reaction", "template"),
        ]
    ),
    lists_messages=False,
    shows_typing=False,
    sees_typing=False,
)

_read = msgspec.json.Decoder(Webhook)
_json = msgspec.json.Encoder()


def webhook_body(messages: tuple[Message, ...]) -> bytes:
    """The body of a call that brings messages; `MemoryGateway` alone reads it."""
    return _json.encode(Webhook(event="messages.post", messages=messages))


@dataclass(slots=True)
class MemoryGateway:
    """Implements `daemon.gateway.port.Gateway` without a connection to anything."""

    sent: dict[str, list[Outgoing]] = field(default_factory=lambda: defaultdict(list))
    """What was sent to each chat, in order."""
    capabilities: Capabilities = CAPABILITIES
    seconds_ahead: float | None = 0.0
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def parse_webhook(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        """See the port; the body is one of `webhook_body`."""
        del path_event
        return msgspec.structs.replace(_read.decode(body), channel=number)

    async def send(self, chat: str, message: Outgoing, *, before: Before) -> str:
        """See the port."""
        await before()
        self.sent[chat].append(message)
        return "" if message.kind == "reaction" else f"rehearsed-{next(self._ids)}"

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        """See the port."""

    async def subscribe_presence(self, contact: str) -> None:
        """See the port."""

    async def mark_read(self, message_id: str) -> None:
        """See the port."""

    async def health(self) -> NumberHealth:
        """See the port."""
        return NumberHealth(condition="ok")

    async def find_alias(self, digits: str) -> str:
        """See the port."""
        del digits
        return ""

    async def list_messages(
        self, chat: str, *, from_me: bool | None, since: float, count: int
    ) -> tuple[Message, ...]:
        """See the port."""
        del chat, from_me, since, count
        return ()

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """See the port."""
        del chat
        return None

    async def list_templates(self) -> tuple[Template, ...]:
        """See the port."""
        return ()

    async def list_labels(self) -> tuple[Label, ...]:
        """See the port."""
        return ()

    async def add_label(self, label_id: str, chat: str) -> None:
        """See the port."""

    async def remove_label(self, label_id: str, chat: str) -> None:
        """See the port."""
