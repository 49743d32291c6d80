"""Whapi's HTTP API over the ledger, as far as the daemon calls it: one method an endpoint.

Paths, parameters, answers and errors follow Whapi's OpenAPI file (version 1.8.7). Handlers are
plain functions of a request; waiting, faults and webhooks are the gateway's.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.channel import Channel, ChannelSettings
from daemon.sandbox.contacts import SimulatedPhones
from daemon.sandbox.ledger import Ledger, PresenceSet, SimulatedChat
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.sending import SimulatedSends

Handler = Callable[..., Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint; `operation` is its name in faults and in the ledger."""

    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Handler


Announce = Callable[[str, str, Mapping[str, Sequence[JsonObject]]], None]
"""Queues a webhook call: its chat, its event, its payload."""


class Directory:
    """The endpoints of chats and labels, and of contacts' opaque ids."""

    def __init__(self, *, ledger: Ledger, labels: list[JsonObject], announce: Announce) -> None:
        self._ledger = ledger
        self._announce = announce
        self.labels = labels
        """Those that the business has."""
        self.lids: dict[str, str] = {}
        """Opaque ids (``<digits>@lid``) by phone number."""

    def get_lid(self, _request: Request, contact: str) -> Answer:
        """GET /contacts/lids/{id}: the opaque id of a phone number, if WhatsApp has revealed it."""
        lid = self.lids.get(contact)
        return json_answer({"lid": lid}) if lid else error_answer(404, "lid not found")

    def get_chat(self, _request: Request, chat_id: str) -> Answer:
        """GET /chats/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        return json_answer(self.describe(chat)) if chat else error_answer(404, "chat not found")

    def list_labels(self, _request: Request) -> Answer:
        """GET /labels: a bare array."""
        chats = self._ledger.chats.values()
        return json_answer(
            [{**x, "count": sum(x["id"] in c.labels for c in chats)} for x in self.labels]
        )

    def add_label(self, _request: Request, label: str, chat_id: str) -> Answer:
        """POST /labels/{label}/{chat}; 409 if it is there already."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        if chat is None or all(x["id"] != label for x in self.labels):
            return error_answer(404, "Specified chat or message not found")
        if label in chat.labels:
            return error_answer(409, "Label association already exists")
        self.set_labels(chat, [*chat.labels, label])
        return json_answer({"success": True})

    def remove_label(self, _request: Request, label: str, chat_id: str) -> Answer:
        """DELETE /labels/{label}/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        if chat is None or label not in chat.labels:
            return error_answer(404, "Specified association not found")
        self.set_labels(chat, [name for name in chat.labels if name != label])
        return json_answer({"success": True})

    def set_labels(self, chat: SimulatedChat, labels: list[str]) -> None:
        """Set exactly these labels (ids) of a chat; announced as ``chats.patch``, as by Whapi."""
        before = self.describe(chat)
        chat.labels = labels
        after = self.describe(chat)
        self._ledger.journal.write("chat", self._ledger.describe(chat))
        update = {"before_update": before, "after_update": after, "changes": ["labels"]}
        self._announce(chat.id, "chats.patch", {"chats_updates": [update]})

    def describe(self, chat: SimulatedChat) -> JsonObject:
        """Return a chat in Whapi's shape."""
        answer: JsonObject = {
            "id": chat.id,
            "name": chat.name,
            "type": "group" if chat.is_group else "contact",
            "labels": [label for label in self.labels if label["id"] in chat.labels],
        }
        if chat.messages:
            last = chat.messages[-1]
            answer |= {"timestamp": last["timestamp"], "last_message": last}
        return answer


class WhapiApi:
    """Whapi's endpoints."""

    def __init__(
        self,
        *,
        phones: SimulatedPhones,
        channel: Channel,
        directory: Directory,
        media: MediaFiles,
        settings: ChannelSettings,
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._phones = phones
        self._ledger = phones.ledger
        self._now = now
        self._channel = channel
        self._directory = directory
        self._media = media
        self._settings = settings
        self.sending = SimulatedSends(ledger=self._ledger, media=media, now=now, rng=rng)
        self._routes = tuple(
            Route(method, re.compile(pattern), operation, handler)
            for method, pattern, operation, handler in self._table()
        )

    def _table(self) -> list[tuple[str, str, str, Handler]]:
        sending, directory = self.sending, self._directory
        chat = r"([\w.@-]+)"
        return [
            ("POST", r"/messages/(\w+)", "send", sending.send),
            ("GET", r"/messages/list(?:/([\w.@-]+))?", "list", self.list_messages),
            ("PUT", r"/messages/([^/]+)", "mark_read", self.mark_read),
            ("PUT", r"/messages/([^/]+)/reaction", "react", sending.react),
            ("PUT", rf"/presences/{chat}", "presence", self.set_presence),
            ("POST", rf"/presences/{chat}", "subscribe", self.subscribe),
            ("GET", rf"/chats/{chat}", "chat", directory.get_chat),
            ("GET", r"/contacts/lids/(\d+)", "lid", directory.get_lid),
            ("GET", r"/health", "health", self._channel.get_health),
            ("GET", r"/settings", "settings", self._settings.get),
            ("PATCH", r"/settings", "set_settings", self._settings.patch),
            ("POST", r"/settings/webhook_test", "webhook_test", self._settings.test_webhook),
            ("GET", r"/labels", "labels", directory.list_labels),
            ("POST", rf"/labels/(\d+)/{chat}", "label", directory.add_label),
            ("DELETE", rf"/labels/(\d+)/{chat}", "unlabel", directory.remove_label),
            ("GET", r"/media/([\w-]+)", "media", self._media.get),
        ]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | int:
        """Return the route of a request and its path parameters, or the status of a refusal."""
        status = 404
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match and route.method == method:
                return route, tuple(group or "" for group in match.groups())
            if match:
                status = 405
        return status

    def list_messages(self, request: Request, chat_id: str) -> Answer:
        """GET /messages/list/{chat}: a page of messages, newest first unless ``sort=asc``."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id)) if chat_id else None
        if chat_id and chat is None:
            return error_answer(404, "chat not found")
        try:
            count, offset = (
                int(request.query.get(k, d)) for k, d in (("count", 100), ("offset", 0))
            )
            since, until = (
                float(request.query.get(k, d)) for k, d in (("time_from", 0), ("time_to", "inf"))
            )
        except ValueError:
            return error_answer(400, "Wrong request parameters")
        if not 1 <= count <= 500:
            return error_answer(400, "Wrong request parameters: count")
        from_me = request.query.get("from_me")
        found = [
            message
            for message in (chat.messages if chat else self._ledger.messages.values())
            if since <= message["timestamp"] <= until
            and from_me in {None, str(message["from_me"]).lower()}
        ]
        if request.query.get("sort", "desc") == "desc":
            found.reverse()
        page = found[offset : offset + count]
        numbers = {"count": len(page), "total": len(found), "offset": offset}
        edges = {"first": offset + 1 if page else 0, "last": offset + len(page)}
        return json_answer({"messages": page, **numbers, **edges})

    def mark_read(self, _request: Request, message_id: str) -> Answer:
        """PUT /messages/{id}: mark as read."""
        if message_id not in self._ledger.messages:
            return error_answer(404, "message not found")
        self._ledger.read.add(message_id)
        self._phones.set_status(message_id, "read", viewer=payloads.OWN_NUMBER)
        return json_answer({"success": True})

    def set_presence(self, request: Request, chat_id: str) -> Answer:
        """PUT /presences/{chat}: show an indicator in a chat."""
        presence = (request.json_object() or {}).get("presence")
        if presence not in {"typing", "recording", "pause"}:
            return error_answer(400, "Wrong request parameters: presence")
        chat = payloads.chat_id_of(chat_id)
        self._ledger.add_presence(PresenceSet(chat, presence, self._now()))
        return json_answer({"success": True})

    def subscribe(self, _request: Request, contact: str) -> Answer:
        """POST /presences/{contact}: subscribe to presence; 409 the second time."""
        digits = payloads.digits_of(contact)
        if digits in self._ledger.subscriptions:
            return error_answer(409, "already subscribed")
        self._ledger.subscriptions.add(digits)
        self._ledger.journal.write("subscription", {"contact": digits})
        return json_answer({"success": True})


def recipient_of(request: Request, path_parameters: tuple[str, ...]) -> str:
    """Return the chat id a request is about, as far as its body or path says; else empty."""
    data = request.json_object() or {}
    named = str(data.get("to", "")) or next((p for p in path_parameters if p[:1].isdigit()), "")
    return payloads.chat_id_of(named) if named else ""
