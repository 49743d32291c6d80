"""What a tool may know of the conversation it is called in, and do to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import trio

from daemon.domain.messages import ChatKey
from daemon.domain.records import NewPart
from daemon.domain.rendering.outgoing import (
    ListRow,
    buttons_part,
    contact_part,
    list_part,
    location_part,
    media_part,
    poll_part,
)

__all__ = ["Conversation", "ListRow", "Loader", "ToolContext", "Urgency"]

Loader = Callable[[ChatKey, int], Awaitable[list[str]]]

Urgency = Literal["low", "normal", "high"]


class Conversation(Protocol):
    """The conversation a tool works for, as far as tools may change it.

    Every verb may be called again after a crash, and does no harm then.
    """

    async def say(self, text: str) -> bool:
        """See `ToolContext.say`."""

    async def send(self, part: NewPart) -> bool:
        """Send a message of another kind than text; see the verbs of `ToolContext`.

        Raises ValueError in words if its file cannot be sent.
        """

    async def react(self, emoji: str) -> bool:
        """See `ToolContext.react`."""

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
        """The gateway's id of our number."""
        return self.key.channel

    async def say(self, text: str) -> bool:
        """Say something to the customer while the tool works: "I am looking that up".

        Returns as soon as it is stored; it is sent beside the tool, at a human pace. Said once,
        however often the call is repeated after a crash: what a call says first, second and so on
        is told apart by its place. False if it will not be said: a person has the chat, the text
        is empty, or the call is over.
        """
        return await self.conversation.say(text)

    async def send_image(self, source: str, caption: str = "") -> bool:
        """Send a picture: an https address, or the name of a file in `tools.files_folder`.

        The gateway fetches the address. Like all sends it is stored on return, said once however
        often the call is repeated, and in order with the answer. Raises ValueError, in words for
        the author of the tool, if it cannot be sent.
        """
        return await self.conversation.send(media_part("image", source, caption))

    async def send_document(self, source: str, caption: str = "", *, filename: str = "") -> bool:
        """Send a document, like `send_image`; ``filename`` is what the customer sees."""
        part = media_part("document", source, caption, filename=filename)
        return await self.conversation.send(part)

    async def send_location(
        self, latitude: float, longitude: float, *, name: str = "", address: str = ""
    ) -> bool:
        """Send a place, in degrees. Raises ValueError if there is none such."""
        part = location_part(latitude, longitude, name=name, address=address)
        return await self.conversation.send(part)

    async def send_contact(
        self, name: str, number: str, *, organisation: str = "", email: str = ""
    ) -> bool:
        """Send the card of a person, whom the customer can then write to or call.

        ``number`` is international, ``+573001234567``. Raises ValueError if it is none.
        """
        part = contact_part(name, number, organisation=organisation, email=email)
        return await self.conversation.send(part)

    async def send_poll(
        self, question: str, options: Sequence[str], *, several: bool = False
    ) -> bool:
        """Ask with a poll of 2 to 12 options; each vote comes as a message of the customer.

        ``several``: more than one option may be chosen. Raises ValueError if it is not to be sent.
        """
        return await self.conversation.send(poll_part(question, options, several=several))

    async def send_buttons(
        self, question: str, buttons: Mapping[str, str], *, header: str = "", footer: str = ""
    ) -> bool:
        """Ask with up to three buttons, titles by ids; the one tapped comes as a message.

        Raises ValueError if a title is too long for WhatsApp, or there are too many.
        """
        part = buttons_part(question, buttons, header=header, footer=footer)
        return await self.conversation.send(part)

    async def send_list(
        self,
        question: str,
        label: str,
        rows: Sequence[ListRow],
        *,
        header: str = "",
        footer: str = "",
    ) -> bool:
        """Ask with a list of up to ten rows, which ``label`` opens; like `send_buttons`."""
        part = list_part(question, label, rows, header=header, footer=footer)
        return await self.conversation.send(part)

    async def react(self, emoji: str) -> bool:
        """React to the customer's last message; an empty ``emoji`` takes it back.

        Raises ValueError if it is none.
        """
        return await self.conversation.react(emoji)

    def from_thread(self, verb: Callable[..., Awaitable[bool]], *arguments: object) -> bool:
        """Send from a plain function: ``context.from_thread(context.send_image, "menu.jpg")``."""
        return trio.from_thread.run(verb, *arguments)

    def say_from_thread(self, text: str) -> bool:
        """Say something from a plain function, which runs in a thread; as `say`."""
        return trio.from_thread.run(self.conversation.say, text)
