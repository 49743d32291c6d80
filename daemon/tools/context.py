"""What a tool may know of the conversation it is called in, and do to it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import trio

from daemon.model import ChatKey

Loader = Callable[[ChatKey, int], Awaitable[list[str]]]

Urgency = Literal["low", "normal", "high"]


class Conversation(Protocol):
    """The conversation a tool works for, as far as tools may change it.

    Every verb may be called again after a crash, and does no harm then.
    """

    async def say(self, text: str) -> bool:
        """See `ToolContext.say`."""

    async def escalate(self, reason: str, summary: str, urgency: Urgency) -> bool:
        """Hand the chat to a person once this turn is answered; False if that is done already."""

    async def set_labels(self, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """Change the chat's labels, by name; gives what could not be done, in words."""

    async def remember(self, fact: str) -> int:
        """Keep a fact about the contact; gives its number, 0 if there are too many."""

    async def forget_fact(self, fact_id: int) -> bool:
        """Forget a fact by its number; False if there is none of that number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a tool may know of the conversation it is called in, and do to it."""

    key: ChatKey
    """The chat and the channel it is on."""
    contact_name: str
    language: str
    """Of the business, ``es`` or ``en``."""
    idempotency_key: str
    """The same for every attempt at this very call: pass it on to whatever has effects."""
    recent_messages: Loader
    """Gives the last so many lines of the conversation, oldest first."""
    conversation: Conversation
    """For the rarer deeds: handing over, labels, facts."""

    @property
    def chat(self) -> str:
        """WhatsApp's chat id, such as ``573001234567@s.whatsapp.net``."""
        return self.key.chat

    @property
    def channel(self) -> str:
        """Whapi's channel id."""
        return self.key.channel

    async def say(self, text: str) -> bool:
        """Say something to the customer while the tool works: "I am looking that up".

        Returns as soon as it is stored; it is sent beside the tool, at a human pace. Said once,
        however often the call is repeated after a crash: what a call says first, second and so on
        is told apart by its place. False if it will not be said: a person has the chat, the text
        is empty, or the call is over.
        """
        return await self.conversation.say(text)

    def say_from_thread(self, text: str) -> bool:
        """Say something from a plain function, which runs in a thread; as `say`."""
        return trio.from_thread.run(self.conversation.say, text)
