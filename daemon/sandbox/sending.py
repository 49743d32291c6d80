"""What goes out through the simulated gateway: messages, reactions, and the files in them.

Required fields and refusals follow Whapi's OpenAPI file (version 1.8.7).
"""

import base64
import binascii
import random
import re
from collections.abc import Callable

from daemon.model import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.ledger import Ledger, StoredMedia

_RECIPIENT = re.compile(r"[\d-]{9,31}(@[\w.]+)?")
_REQUIRED = {
    "text": ("body",),
    "link_preview": ("body", "title"),
    "image": ("media",),
    "video": ("media",),
    "short": ("media",),
    "gif": ("media",),
    "audio": ("media",),
    "voice": ("media",),
    "document": ("media",),
    "sticker": ("media",),
    "location": ("latitude", "longitude"),
    "contact": ("name", "vcard"),
    "poll": ("title", "options"),
    "interactive": ("body", "action"),
}
"""What each kind of send must say beside ``to``."""
_NOT_CONTENT = frozenset({"to", "quoted", "media", "typing_time", "recording_time"})


class Sending:
    """The endpoints that make messages, and the store of media."""

    def __init__(self, *, ledger: Ledger, now: Callable[[], float], rng: random.Random) -> None:
        self._ledger = ledger
        self._now = now
        self._rng = rng
        self._made: list[JsonObject] = []

    def take_made(self) -> list[JsonObject]:
        """Return the messages that handlers made since the last call; they want an echo."""
        made, self._made = self._made, []
        return made

    def send(self, request: Request, kind: str) -> Answer:
        """POST /messages/{kind}: deliver a message to a customer."""
        data = request.json_object()
        if kind not in _REQUIRED:
            return error_answer(404, "unknown message type")
        if data is None:
            return error_answer(400, "Wrong request parameters: body is not a JSON object")
        fault = _fault_in(kind, data)
        if fault:
            return error_answer(400, f"Wrong request parameters: {fault}")
        content = {k: v for k, v in data.items() if k not in _NOT_CONTENT}
        if "media" in _REQUIRED[kind]:
            stored = self._take_media(data)
            if stored is None:
                return error_answer(404, "specified media not found")
            content.update(stored)
        message = payloads.own_message(
            {"type": kind, kind: content},
            message_id=payloads.new_id(self._rng),
            chat=payloads.chat_id_of(data["to"]),
            at=self._now(),
            source="api",
        )
        quoted = self._ledger.messages.get(str(data.get("quoted", "")))
        if quoted:
            message["context"] = payloads.quote_context(quoted)
        self._ledger.add_send(message, data, self._now())
        self._made.append(message)
        return json_answer({"sent": True, "message": message})

    def react(self, request: Request, message_id: str) -> Answer:
        """PUT or DELETE /messages/{id}/reaction."""
        target = self._ledger.messages.get(message_id)
        if target is None:
            return error_answer(404, "message not found")
        emoji = "" if request.method == "DELETE" else (request.json_object() or {}).get("emoji", "")
        content = {"target": message_id, "type": "reaction", "emoji": emoji}
        message = payloads.own_message(
            {"type": "action", "action": content},
            message_id=payloads.new_id(self._rng),
            chat=target["chat_id"],
            at=self._now(),
            source="api",
        )
        self._ledger.add_message(message)
        self._made.append(message)
        return json_answer({"success": True})

    def get_media(self, _request: Request, media_id: str) -> Answer:
        """GET /media/{id}: the file itself."""
        media = self._ledger.media.get(media_id)
        return Answer(200, media.data, media.mime_type) if media else error_answer(404, "not found")

    def store_media(self, data: bytes, mime_type: str) -> str:
        """Keep a file and return its id, in the form of Whapi's (type, dash, hexadecimal)."""
        kind = re.sub(r"\W", "", mime_type.partition(";")[0].rpartition("/")[2]) or "file"
        media_id = f"{kind}-{self._rng.getrandbits(80):020x}"
        self._ledger.media[media_id] = StoredMedia(mime_type, data)
        return media_id

    def _take_media(self, data: JsonObject) -> JsonObject | None:
        """Store what ``media`` holds (data URI, base64, link or media id); None if unknown."""
        media, mime_type = str(data["media"]), str(data.get("mime_type", ""))
        if media.startswith(("http://", "https://")):
            return {"link": media}
        if media in self._ledger.media:
            known = self._ledger.media[media]
            return {"id": media, "mime_type": known.mime_type, "file_size": len(known.data)}
        if media.startswith("data:"):
            head, _, media = media.partition(",")
            mime_type = mime_type or head.removeprefix("data:").removesuffix(";base64")
        try:
            content = base64.b64decode(media, validate=True)
        except (binascii.Error, ValueError):
            return None
        mime_type = mime_type or "application/octet-stream"
        media_id = self.store_media(content, mime_type)
        return {"id": media_id, "mime_type": mime_type, "file_size": len(content)}


def _fault_in(kind: str, data: JsonObject) -> str:
    if not isinstance(data.get("to"), str) or not _RECIPIENT.fullmatch(data["to"]):
        return "to"
    for name in _REQUIRED[kind]:
        if not data.get(name) and data.get(name) != 0:
            return name
    words = dict if kind == "interactive" else str
    if "body" in _REQUIRED[kind] and not isinstance(data["body"], words):
        return "body"
    seconds = data.get("typing_time", 0)
    return "" if isinstance(seconds, int | float) and 0 <= seconds <= 60 else "typing_time"
