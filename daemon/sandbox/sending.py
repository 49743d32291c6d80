"""Sends through the simulated gateway, and the echoes by which Whapi announces them."""

import random
from collections.abc import Callable

from daemon.domain.messages import JsonObject
from daemon.sandbox import outgoing, payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.contacts import SimulatedPhones, Status
from daemon.sandbox.faults import Faults
from daemon.sandbox.ledger import Ledger
from daemon.sandbox.media import MediaFiles, upload_of
from daemon.sandbox.webhooks import WebhookPost

STATUSES: tuple[Status, ...] = ("sent", "delivered")
"""How far a message gets by itself."""
UNDELIVERABLE = "Message undeliverable"


class SimulatedSends:
    """The endpoints that make messages."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        media: MediaFiles,
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._ledger = ledger
        self._media = media
        self._now = now
        self._rng = rng
        self._made: list[JsonObject] = []

    def take_made(self) -> list[JsonObject]:
        """Return the messages that handlers made since the last call; each needs an echo."""
        made, self._made = self._made, []
        return made

    def send(self, request: Request, kind: str) -> Answer:
        """POST /messages/{kind}: deliver a message to a customer."""
        if kind not in outgoing.REQUIRED:
            return error_answer(404, "unknown message type")
        data = request.json_object()
        if data is None:
            return error_answer(400, "Wrong request parameters: body is not a JSON object")
        if fault := outgoing.fault_in(kind, data):
            return error_answer(400, f"Wrong request parameters: {fault}")
        content = outgoing.content_of(kind, data)
        if kind in outgoing.MEDIA_KINDS:
            stored = self._take_media(kind, data)
            if stored is None:
                return error_answer(404, "specified media not found")
            content = {**stored, **content}
        return self._deliver(kind, content, data)

    def react(self, request: Request, message_id: str) -> Answer:
        """PUT /messages/{id}/reaction."""
        target = self._ledger.messages.get(message_id)
        if target is None:
            return error_answer(404, "Specified message not found")
        emoji = (request.json_object() or {}).get("emoji", "")
        action = {"target": message_id, "type": "reaction", "emoji": emoji}
        message = payloads.own_message(
            {"type": "action", "action": action},
            message_id=payloads.new_id(self._rng),
            chat=target["chat_id"],
            at=self._now(),
            source="api",
        )
        self._ledger.add_message(message)
        self._made.append(message)
        return json_answer({"success": True})

    def _deliver(self, kind: str, content: JsonObject, data: JsonObject) -> Answer:
        message = payloads.own_message(
            {"type": kind, kind: content},
            message_id=payloads.new_id(self._rng),
            chat=payloads.chat_id_of(data["to"]),
            at=self._now(),
            source="api",
        )
        quoted = self._ledger.messages.get(str(data.get("quoted", "")))
        context = payloads.quote_context(quoted) if quoted else {}
        if isinstance(data.get("mentions"), list) and data["mentions"]:
            context["mentions"] = [payloads.digits_of(str(name)) for name in data["mentions"]]
        if context:
            message["context"] = context
        self._ledger.add_send(message, data, self._now())
        self._made.append(message)
        return json_answer({"sent": True, "message": message})

    def _take_media(self, kind: str, data: JsonObject) -> JsonObject | None:
        """Keep what ``media`` holds (data URI, base64, link, id); None if it is unknown."""
        media = str(data["media"])
        known = self._media.known_by(media) or media
        if known in self._ledger.media:
            return self._media.describe(known, kind)
        if media.startswith(("http://", "https://")):
            return self._media.stand_in(media)
        upload = upload_of(data)
        return self._media.describe(self._media.keep(upload), kind) if upload else None


class Echoes:
    """Announces delivered sends: ``messages.post``, then ``statuses.post`` as far as they get."""

    def __init__(self, *, phones: SimulatedPhones, faults: Faults) -> None:
        self._phones = phones
        self._faults = faults

    def after_answer(self, message: JsonObject) -> None:
        """Announce a message whose send was answered, or never will be. Never waits."""
        self._announce(message)
        self._announce_statuses(message)

    def _announce(self, message: JsonObject, *, lane: str = "") -> list[WebhookPost]:
        ids, parts = (message["id"],), {"messages": [message]}
        return self._phones.queue(message["chat_id"], "messages.post", parts, ids, lane=lane)

    def _announce_statuses(self, message: JsonObject) -> None:
        """Announce that it was sent and delivered, or that it could not be."""
        if self._faults.take("delivery", message["chat_id"]):
            self._phones.set_status(message["id"], "failed", error=UNDELIVERABLE)
        else:
            for status in STATUSES:
                self._phones.set_status(message["id"], status)
