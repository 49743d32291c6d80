"""The sandbox's gateway for tests: scripted, with a record of what customers received."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Literal

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, Upload
from daemon.sandbox.channel import ChannelState
from daemon.sandbox.contacts import Status
from daemon.sandbox.gateway import SimulatedGateway
from daemon.sandbox.ledger import GatewayCall, PresenceSet, SentMessage
from daemon.sandbox.sending import UNDELIVERABLE, Echoes
from daemon.sandbox.whapi_api import Route, recipient_of
from support.contacts import Group, ScriptedContact, ScriptedPhones
from support.faults import Faults

EchoMode = Literal[
    "after",  # told when the send was answered
    "before",  # told, and the daemon's answer awaited, before the send is answered
    "delayed",  # kept until `release`
    "missing",  # never told
    "other_id",  # told under an id that the send's answer did not give
]
Fate = Literal["pending", "sent", "delivered", "read"]
_WAYS: Mapping[Fate, tuple[Status, ...]] = {
    "pending": (),
    "sent": ("sent",),
    "delivered": ("sent", "delivered"),
    "read": ("sent", "delivered", "read"),
}


class ScriptedEchoes(Echoes):
    """Echoes of delivered sends, when and as a test scripts them."""

    def __init__(self, *, phones: ScriptedPhones, faults: Faults, rng: random.Random) -> None:
        super().__init__(phones=phones, faults=faults)
        self.mode: EchoMode = "after"
        self.fate: Fate = "delivered"
        """How far messages get by themselves."""
        self.statuses = True
        """Whether the statuses are told; they follow the echo, and come without it if missing."""
        self.faults = faults
        self._rng = rng
        self._modes: dict[str, EchoMode] = {}
        """By message: what the mode was when it was delivered."""
        self._kept: list[JsonObject] = []

    async def before_answer(self, message: JsonObject) -> None:
        """Post the echo of a message whose send is not answered yet, if that is the mode."""
        self._modes[message["id"]] = self.mode
        if self.mode == "before":
            # A lane of its own: calls of the chat that still wait must not hold up the answer.
            for delivery in self._announce(message, lane=f"echo {message['id']}"):
                await delivery.wait("attempted")

    def after_answer(self, message: JsonObject) -> None:
        mode = self._modes[message["id"]]
        if mode == "delayed":
            self._kept.append(message)
            return
        if mode == "after":
            self._announce(message)
        elif mode == "other_id":
            self._announce({**message, "id": payloads.new_id(self._rng)})
        self._announce_statuses(message)

    def release(self) -> None:
        """Post the echoes kept so far."""
        kept, self._kept = self._kept, []
        for message in kept:
            self._announce(message)
            self._announce_statuses(message)

    def _announce_statuses(self, message: JsonObject) -> None:
        if self.faults.take("delivery", message["chat_id"]):
            self._phones.set_status(
                message["id"], "failed", error=UNDELIVERABLE, announced=self.statuses
            )
            return
        reached: tuple[Status, ...] = _WAYS[self.fate]
        for status in reached:
            self._phones.set_status(message["id"], status, announced=self.statuses)


class ScriptedGateway(ScriptedPhones, SimulatedGateway):
    """A gateway with scripted contacts, faults and echoes, and a ledger for tests to read."""

    faults: Faults

    def __init__(self, *, rng: random.Random, **options: Any) -> None:
        super().__init__(rng=rng, faults=Faults(), **options)
        self.echoes: ScriptedEchoes = ScriptedEchoes(phones=self, faults=self.faults, rng=rng)
        self.honour_typing_time = False
        """Whether a send with ``typing_time`` is delivered that much later, as by Whapi."""

    def sent(self, chat: str) -> list[SentMessage]:
        """Return the daemon's messages to a chat (digits or chat id), in order."""
        return self.ledger.sent(payloads.chat_id_of(chat))

    def presences(self, chat: str) -> list[PresenceSet]:
        """Return the indicators that the daemon showed in a chat, in order."""
        chat_id = payloads.chat_id_of(chat)
        return [presence for presence in self.ledger.presences if presence.chat == chat_id]

    def calls(self, operation: str) -> list[GatewayCall]:
        """Return the requests of one operation (see the routes), in the order of their ends."""
        return [call for call in self.ledger.calls if call.operation == operation]

    def acknowledged(self, message_id: str) -> bool:
        """Return whether a webhook with this message got its 200."""
        return message_id in self.ledger.acknowledged

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Wait until `predicate` holds; it is looked at whenever something was recorded."""
        while not predicate():
            await self.ledger.journal.wait_change()

    async def wait_sent(self, chat: str, count: int = 1) -> list[SentMessage]:
        """Wait until the daemon has sent at least `count` messages to a chat; return them all."""
        await self.wait_for(lambda: len(self.sent(chat)) >= count)
        return self.sent(chat)

    def reset_faults(self) -> None:
        """Forget all faults, and let the calls they hold go on."""
        self.faults.reset()

    def set_auto_download(self, *media: str) -> None:
        """Add links to messages of these media (``image``, ``voice`` …; none: all off)."""
        self.settings.set_auto_download(*media)

    def set_channel_state(self, state: ChannelState) -> None:
        """Link or unlink the phone, or stop the channel; posted by webhook."""
        self.channel.change(state)

    def set_labels(self, chat: str, *names: str) -> None:
        """Set the labels of a chat, by name, as on the business's phone."""
        ids = [label["id"] for label in self.directory.labels if label["name"] in names]
        self.directory.set_labels(self.ledger.chat(payloads.chat_id_of(chat)), ids)

    def contact(self, digits: str, *, name: str = "", chat: str = "") -> ScriptedContact:
        """Return a contact who writes to us, or in the group `chat`."""
        return ScriptedContact(self, self.media, digits, name=name, chat=chat)

    def group(self, chat: str, *, name: str = "", members: dict[str, str] | None = None) -> Group:
        """Return a group, opened with these participants (digits and names) if it is new."""
        self.ledger.chat(chat, name=name, members=members)
        return Group(self, self.media, chat)

    def store_media(self, data: bytes, mime_type: str, *, file_name: str = "") -> str:
        """Keep a file for ``GET /media/{id}`` and return its id."""
        return self.media.keep(Upload(data, mime_type, file_name))

    async def _do(
        self, route: Route, parameters: tuple[str, ...], request: Request
    ) -> tuple[Answer, list[JsonObject]]:
        if self.honour_typing_time and route.operation == "send":
            await self._type(request, recipient_of(request, parameters))
        answer, made = await super()._do(route, parameters, request)
        for message in made:
            await self.echoes.before_answer(message)
        return answer, made

    async def _type(self, request: Request, chat: str) -> None:
        seconds = (request.json_object() or {}).get("typing_time")
        if isinstance(seconds, int | float) and 0 < seconds <= 60 and chat in self.ledger.chats:
            self.ledger.show_presence(chat, "typing")
            await trio.sleep(seconds)
