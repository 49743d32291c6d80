"""Whapi's HTTP API over the ledger: one method an endpoint, in a small table of routes.

Paths, parameters, answers and errors follow Whapi's OpenAPI file (version 1.8.7). Handlers are
plain functions of a request; waiting, faults and webhooks are the gateway's.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.channel import Channel, ChannelSettings
from daemon.sandbox.contacts import SimulatedPhones
from daemon.sandbox.directory import Directory
from daemon.sandbox.ledger import PresenceSet
from daemon.sandbox.media import MediaFiles
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
        self.sending = Sending(ledger=self._ledger, media=media, now=now, rng=rng)
        self.labels = directory.labels
        """The labels that the business has."""
        self.lids = directory.lids
        """Opaque ids (``<digits>@lid``) by phone number."""
        self._routes = tuple(
            Route(method, re.compile(pattern), operation, handler)
            for method, pattern, operation, handler in self._table()
        )

    def _table(self) -> list[tuple[str, str, str, Handler]]:
        sending, directory, media = self.sending, self._directory, self._media
        chat = r"([\w.@-]+)"
        return [
            ("POST", r"/messages/(\w+)", "send", sending.send),
            ("POST", r"/messages/media/(\w+)", "send", sending.send_file),
            ("GET", r"/messages/list(?:/([\w.@-]+))?", "list", self.list_messages),
            ("GET", r"/messages/([^/]+)", "get_message", self.get_message),
            ("PUT", r"/messages/([^/]+)", "mark_read", self.mark_read),
            ("DELETE", r"/messages/([^/]+)", "delete", sending.delete),
            ("PUT", r"/messages/([^/]+)/reaction", "react", sending.react),
            ("DELETE", r"/messages/([^/]+)/reaction", "react", sending.react),
            ("PUT", r"/presences/me", "own_presence", self.set_own_presence),
            ("PUT", rf"/presences/{chat}", "presence", self.set_presence),
            ("POST", rf"/presences/{chat}", "subscribe", self.subscribe),
            ("GET", rf"/presences/{chat}", "get_presence", self.get_presence),
            ("GET", r"/chats", "chats", directory.list_chats),
            ("GET", rf"/chats/{chat}", "chat", directory.get_chat),
            ("GET", r"/groups", "groups", directory.list_groups),
            ("GET", rf"/groups/{chat}", "group", directory.get_group),
            ("GET", r"/contacts", "contacts", directory.list_contacts),
            ("GET", r"/contacts/(\d+)", "contact", directory.get_contact),
            ("GET", r"/contacts/lids/(\d+)", "lid", directory.get_lid),
            ("GET", r"/health", "health", self._channel.get_health),
            ("GET", r"/settings", "settings", self._settings.get),
            ("PATCH", r"/settings", "set_settings", self._settings.patch),
            ("POST", r"/settings/webhook_test", "webhook_test", self._settings.test_webhook),
            ("GET", r"/limits", "limits", self.limits),
            ("GET", r"/labels", "labels", directory.list_labels),
            ("POST", rf"/labels/(\d+)/{chat}", "label", directory.add_label),
            ("DELETE", rf"/labels/(\d+)/{chat}", "unlabel", directory.remove_label),
            ("POST", r"/media", "upload", media.upload),
            ("GET", r"/media/([\w-]+)", "media", media.get),
            ("POST", r"/calls/([\w-]+)/reject", "reject_call", self.reject_call),
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

    def get_message(self, _request: Request, message_id: str) -> Answer:
        """GET /messages/{id}."""
        message = self._ledger.messages.get(message_id)
        return json_answer(message) if message else error_answer(404, "message not found")

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

    def set_own_presence(self, request: Request) -> Answer:
        """PUT /presences/me: show the business as online or offline."""
        if (request.json_object() or {}).get("presence") not in {"online", "offline"}:
            return error_answer(400, "Wrong request parameters: presence")
        return json_answer({"success": True})

    def reject_call(self, _request: Request, call_id: str) -> Answer:
        """POST /calls/{id}/reject."""
        if call_id not in self._ledger.voice_calls:
            return error_answer(404, "Call not found")
        self._ledger.voice_calls[call_id] = "rejected"
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

    def limits(self, _request: Request) -> Answer:
        """GET /limits: 204, which is Whapi's word for none."""
        return Answer(204)


def recipient_of(request: Request, path_parameters: tuple[str, ...]) -> str:
    """Return the chat id a request is about, as far as its body or path says; else empty."""
    data: dict[str, Any] = request.fields() or {}
    named = str(data.get("to", "") or request.query.get("to", "")) or next(
        (p for p in path_parameters if p[:1].isdigit()), ""
    )
    return payloads.chat_id_of(named) if named else ""
