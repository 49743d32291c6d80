"""Whapi's HTTP API over the ledger: one method an endpoint, in a small table of routes.

Paths, parameters, answers and errors follow Whapi's OpenAPI file (version 1.8.7). Handlers are
plain functions of a request; waiting, faults and webhooks are the gateway's.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from daemon.model import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.channel_settings import ChannelSettings
from daemon.sandbox.ledger import Chat, Ledger, PresenceSet
from daemon.sandbox.sending import Sending

Handler = Callable[..., Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint; `operation` is its name in faults and in the ledger."""

    method: str
    pattern: re.Pattern[str]
    operation: str
    handler: Handler


class WhapiApi:
    """The endpoints."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        now: Callable[[], float],
        rng: random.Random,
        labels: list[JsonObject],
        settings: ChannelSettings,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._started_at = now()
        self.labels = labels
        self.lids: dict[str, str] = {}
        """Opaque ids (``<digits>@lid``) by phone number."""
        self.sending = Sending(ledger=ledger, now=now, rng=rng)
        self._settings = settings
        self._routes = tuple(
            Route(method, re.compile(pattern), operation, handler)
            for method, pattern, operation, handler in self._table()
        )

    def _table(self) -> list[tuple[str, str, str, Handler]]:
        sending = self.sending
        chat = r"([\w.@-]+)"
        return [
            ("POST", r"/messages/(\w+)", "send", sending.send),
            ("GET", r"/messages/list(?:/([\w.@-]+))?", "list", self.list_messages),
            ("GET", r"/messages/([^/]+)", "get_message", self.get_message),
            ("PUT", r"/messages/([^/]+)", "mark_read", self.mark_read),
            ("PUT", r"/messages/([^/]+)/reaction", "react", sending.react),
            ("DELETE", r"/messages/([^/]+)/reaction", "react", sending.react),
            ("PUT", rf"/presences/{chat}", "presence", self.set_presence),
            ("POST", rf"/presences/{chat}", "subscribe", self.subscribe),
            ("GET", rf"/presences/{chat}", "get_presence", self.get_presence),
            ("GET", r"/chats", "chats", self.list_chats),
            ("GET", rf"/chats/{chat}", "chat", self.get_chat),
            ("GET", r"/contacts/(\d+)", "contact", self.get_contact),
            ("GET", r"/contacts/lids/(\d+)", "lid", self.get_lid),
            ("GET", r"/health", "health", self.health),
            ("GET", r"/settings", "settings", self._settings.get),
            ("PATCH", r"/settings", "set_settings", self._settings.patch),
            ("GET", r"/limits", "limits", self.limits),
            ("GET", r"/labels", "labels", self.list_labels),
            ("POST", rf"/labels/(\d+)/{chat}", "label", self.add_label),
            ("DELETE", rf"/labels/(\d+)/{chat}", "unlabel", self.remove_label),
            ("GET", r"/media/([\w-]+)", "media", sending.get_media),
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

    def get_lid(self, _request: Request, contact: str) -> Answer:
        """GET /contacts/lids/{id}: the opaque id of a phone number, if WhatsApp has told it."""
        lid = self.lids.get(contact)
        return json_answer({"lid": lid}) if lid else error_answer(404, "lid not found")

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

    def get_message(self, _request: Request, message_id: str) -> Answer:
        """GET /messages/{id}."""
        message = self._ledger.messages.get(message_id)
        return json_answer(message) if message else error_answer(404, "message not found")

    def mark_read(self, _request: Request, message_id: str) -> Answer:
        """PUT /messages/{id}: mark as read."""
        if message_id not in self._ledger.messages:
            return error_answer(404, "message not found")
        self._ledger.read.add(message_id)
        self._ledger.add_status(message_id, "read")
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
        """POST /presences/{contact}: ask to be told of typing; 409 the second time."""
        digits = payloads.digits_of(contact)
        if digits in self._ledger.subscriptions:
            return error_answer(409, "already subscribed")
        self._ledger.subscriptions.add(digits)
        self._ledger.journal.write("subscription", {"contact": digits})
        return json_answer({"success": True})

    def get_presence(self, _request: Request, contact: str) -> Answer:
        """GET /presences/{contact}."""
        digits = payloads.digits_of(contact)
        if digits not in self._ledger.subscriptions:
            return error_answer(404, "presence not subscribed")
        chat = self._ledger.chats.get(payloads.chat_id_of(digits))
        status = chat.contact_presence if chat else "pending"
        return json_answer({"contact_id": digits, "status": status})

    def list_chats(self, request: Request) -> Answer:
        """GET /chats."""
        try:
            count, offset = (
                int(request.query.get(k, d)) for k, d in (("count", 100), ("offset", 0))
            )
        except ValueError:
            return error_answer(400, "Wrong request parameters")
        chats = [self._chat(chat) for chat in self._ledger.chats.values()]
        page = chats[offset : offset + count]
        return json_answer(
            {"chats": page, "count": len(page), "total": len(chats), "offset": offset}
        )

    def get_chat(self, _request: Request, chat_id: str) -> Answer:
        """GET /chats/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        return json_answer(self._chat(chat)) if chat else error_answer(404, "chat not found")

    def get_contact(self, _request: Request, digits: str) -> Answer:
        """GET /contacts/{digits}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(digits))
        if chat is None:
            return error_answer(404, "contact not found")
        return json_answer({"id": digits, "name": chat.name, "pushname": chat.name, "saved": True})

    def health(self, _request: Request) -> Answer:
        """GET /health: always authorised (code 4, as seen on live channels)."""
        return json_answer(
            {
                "start_at": int(self._started_at),
                "uptime": int(self._now() - self._started_at),
                "status": {"code": 4, "text": "AUTH"},
                "version": "1.8.7-sandbox",
                "channel_id": payloads.CHANNEL,
                "user": {"id": payloads.OWN_NUMBER, "name": payloads.OWN_NAME},
            }
        )

    def limits(self, _request: Request) -> Answer:
        """GET /limits: 204, which is Whapi's word for none."""
        return Answer(204)

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
            return error_answer(404, "label or chat not found")
        if label in chat.labels:
            return error_answer(409, "already exists")
        chat.labels.append(label)
        self._ledger.journal.write("chat", self._ledger.describe(chat))
        return json_answer({"success": True})

    def remove_label(self, _request: Request, label: str, chat_id: str) -> Answer:
        """DELETE /labels/{label}/{chat}."""
        chat = self._ledger.chats.get(payloads.chat_id_of(chat_id))
        if chat is None or label not in chat.labels:
            return error_answer(404, "label or chat not found")
        chat.labels.remove(label)
        self._ledger.journal.write("chat", self._ledger.describe(chat))
        return json_answer({"success": True})

    def _chat(self, chat: Chat) -> JsonObject:
        answer: JsonObject = {
            "id": chat.id,
            "name": chat.name,
            "type": "group" if chat.id.endswith("@g.us") else "contact",
            "labels": [label for label in self.labels if label["id"] in chat.labels],
        }
        if chat.messages:
            last = chat.messages[-1]
            answer |= {"timestamp": last["timestamp"], "last_message": last}
        return answer


def recipient_of(request: Request, path_parameters: tuple[str, ...]) -> str:
    """Return the chat id a request is about, as far as its body or path says; else empty."""
    data: dict[str, Any] = request.json_object() or {}
    named = str(data.get("to", "")) or next((p for p in path_parameters if p[:1].isdigit()), "")
    return payloads.chat_id_of(named) if named else ""
