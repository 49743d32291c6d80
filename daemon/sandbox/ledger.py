"""The record of the simulated gateway: what reached a customer, and how often."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox.payloads import digits_of, words_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; ``number`` counts from 1 without gaps."""

    number: int
    kind: str
    data: JsonObject


class Journal:
    """The latest `limit` entries, and a way to wait for the next.

    Readers keep their own place in it. Nothing is queued for them, so a slow reader costs nothing;
    one that falls behind what is kept learns so and starts again from a snapshot.
    """

    def __init__(self, limit: int = 2000) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._changed = trio.Event()
        self.last_number = 0
        """Number of the newest entry, 0 if there is none yet."""

    def write(self, kind: str, data: JsonObject) -> None:
        """Add an entry and wake all who wait."""
        self.last_number += 1
        self._entries.append(Entry(self.last_number, kind, data))
        self._changed.set()
        self._changed = trio.Event()

    def since(self, number: int) -> list[Entry] | None:
        """Return the entries after `number`, or None if some of them are no longer kept."""
        missing = self.last_number - number
        if missing < 0 or missing > len(self._entries):
            return None
        return [entry for entry in self._entries if entry.number > number]

    async def wait_change(self) -> None:
        """Wait for the next entry."""
        await self._changed.wait()


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that the daemon sent and a customer got."""

    id: str
    chat: str
    kind: str
    """Whapi's type: ``text``, ``voice`` …"""
    text: str
    """Its words: body, caption or title."""
    at: float
    """Unix seconds."""
    quoted: str
    """Id of the message it answers, if it quotes one."""
    typing_seconds: float
    request: JsonObject
    """The request's body, as received."""


@dataclass(frozen=True, slots=True)
class PresenceSet:
    """An indicator that the daemon showed in a chat: ``typing``, ``recording`` or ``pause``."""

    chat: str
    presence: str
    at: float


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One request to the gateway. ``status`` is what was answered, 0 where nothing was."""

    at: float
    method: str
    path: str
    operation: str
    status: int


@dataclass(slots=True)
class SimulatedChat:
    """One chat as the phones see it."""

    id: str
    name: str
    members: dict[str, str]
    """Digits and name of who writes in it besides us: one contact, or a group's participants."""
    messages: list[JsonObject] = field(default_factory=list)
    """In Whapi's shape, in order of arrival, actions such as reactions included."""
    labels: list[str] = field(default_factory=list)
    presence: str = "pause"
    """The daemon's indicator."""

    @property
    def is_group(self) -> bool:
        """Whether it is a group."""
        return self.id.endswith("@g.us")


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A file that was sent or received."""

    mime_type: str
    data: bytes
    file_name: str = ""
    stored_at: float = 0


class Ledger:
    """All that happened, in memory. Written by the gateway, read by tests and the phone."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.chats: dict[str, SimulatedChat] = {}
        self.messages: dict[str, JsonObject] = {}
        """Every message by its id."""
        self.sends: list[SentMessage] = []
        self.presences: list[PresenceSet] = []
        self.calls: list[GatewayCall] = []
        self.subscriptions: set[str] = set()
        """Digits of the contacts whose presence the daemon asked for."""
        self.statuses: dict[str, str] = {}
        """The states of messages, ours and theirs, as far as known: ``delivered``, ``read`` …"""
        self.read: set[str] = set()
        """Ids of the messages that the daemon marked as read."""
        self.acknowledged: set[str] = set()
        """Ids of the messages whose webhook got a 200."""
        self.media: dict[str, StoredMedia] = {}
        self.voice_calls: dict[str, str] = {}
        """The state of each telephone call: ``ringing``, ``missed``, ``rejected`` …"""
        self._sends_by_chat: defaultdict[str, list[SentMessage]] = defaultdict(list)

    def chat(
        self, chat_id: str, *, name: str = "", members: dict[str, str] | None = None
    ) -> SimulatedChat:
        """Return a chat; a new one is opened with this name and these members."""
        chat = self.chats.get(chat_id)
        if chat is None:
            digits = digits_of(chat_id)
            chat = SimulatedChat(chat_id, name or digits, members or {digits: name or digits})
            self.chats[chat_id] = chat
            self.journal.write("chat", self.describe(chat))
        return chat

    def describe(self, chat: SimulatedChat) -> JsonObject:
        """Return a chat as the phone page gets it."""
        return {"id": chat.id, "name": chat.name, "members": chat.members, "labels": chat.labels}

    def add_message(self, message: JsonObject) -> None:
        """Record a message in its chat. The same id twice is recorded once."""
        if message["id"] in self.messages:
            return
        self.messages[message["id"]] = message
        chat = self.chat(message["chat_id"])
        chat.messages.append(message)
        if message["from_me"]:
            chat.presence = "pause"
        self.journal.write("message", {"message": message})

    def change_message(self, message_id: str, content: JsonObject) -> None:
        """Replace the content of a message, such as a poll with one more vote."""
        message = self.messages[message_id]
        message[message["type"]] = content
        self.journal.write("changed", {"message": message})

    def add_send(self, message: JsonObject, request: JsonObject, at: float) -> SentMessage:
        """Record a message that the daemon sent and the customer got."""
        sent = SentMessage(
            id=message["id"],
            chat=message["chat_id"],
            kind=message["type"],
            text=words_of(message),
            at=at,
            quoted=str(request.get("quoted", "")),
            typing_seconds=float(request.get("typing_time") or 0),
            request=request,
        )
        self.sends.append(sent)
        self._sends_by_chat[sent.chat].append(sent)
        self.add_message(message)
        return sent

    def add_presence(self, presence: PresenceSet) -> None:
        """Record an indicator that the daemon showed."""
        self.presences.append(presence)
        self.show_presence(presence.chat, presence.presence)

    def show_presence(self, chat: str, presence: str) -> None:
        """Show our side as typing, recording or neither (``pause``) in a chat."""
        self.chat(chat).presence = presence
        self.journal.write("presence", {"chat": chat, "presence": presence})

    def add_status(self, message_id: str, status: str) -> None:
        """Record what became of a message: ``sent``, ``delivered``, ``read``."""
        message = self.messages[message_id]
        if message["from_me"]:
            message["status"] = status
        self.statuses[message_id] = status
        self.journal.write(
            "status", {"chat": message["chat_id"], "id": message_id, "status": status}
        )

    def add_call(self, call: GatewayCall) -> None:
        """Record a request and how it was answered."""
        self.calls.append(call)
        self.journal.write("call", {"operation": call.operation, "status": call.status})

    def add_acknowledged(self, message_ids: tuple[str, ...]) -> None:
        """Record that the daemon answered 200 to a webhook with these messages in it."""
        for message_id in message_ids:
            message = self.messages.get(message_id)
            if message_id not in self.acknowledged and message and not message["from_me"]:
                self.acknowledged.add(message_id)
                if message_id not in self.read:
                    self.add_status(message_id, "delivered")
        self.acknowledged.update(message_ids)

    def sent(self, chat_id: str) -> list[SentMessage]:
        """Return what the daemon sent to a chat, in order."""
        return list(self._sends_by_chat.get(chat_id, ()))
