"""The simulated phone: one page, its live events, and the actions typed into it.

The page stands for the phones of the customers, and of the business's human agents. There is no
login, so everything here answers loopback addresses alone, and names of them alone: that keeps out
other machines, other sites' pages, and names that were rebound to 127.0.0.1.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from ipaddress import ip_address
from urllib.parse import urlsplit

import trio

from daemon.model import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import (
    Answer,
    Receive,
    Request,
    Send,
    error_answer,
    json_answer,
    send_answer,
    wait_disconnect,
)
from daemon.sandbox.people import People

HEARTBEAT_SECONDS = 15.0
"""How often a quiet event stream says something, so that a dead client is noticed."""
SNAPSHOT_MESSAGES = 200
"""How many messages of each chat a page gets when it opens."""
MAX_TEXT = 4096
"""Longest text the page may send, in characters; what WhatsApp's own phones allow is more."""
_SHOWN = frozenset({"chat", "message", "presence", "status"})
_FILES = {
    "/phone": ("phone.html", "text/html; charset=utf-8"),
    "/phone/phone.css": ("phone.css", "text/css; charset=utf-8"),
    "/phone/phone.js": ("phone.js", "text/javascript; charset=utf-8"),
    "/phone/icon.svg": ("icon.svg", "image/svg+xml"),
}
_GUARDS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to write as: a person, or a group with its participants (digits and names)."""

    chat: str
    name: str
    members: dict[str, str] = field(default_factory=dict)


CONTACTS = (
    Contact("573001234567", "Laura Gómez"),
    Contact("573005550142", "Andrés Pardo"),
    Contact("573005550173", "Sofía Rincón"),
    Contact(
        "120363000000000042@g.us",
        "Paseo a Salento",
        {"573001234567": "Laura Gómez", "573005550142": "Andrés Pardo"},
    ),
)
"""The invented people of the sandbox."""


class Phone:
    """Serves the page and its events; what is typed into it is done by `people`."""

    def __init__(self, *, people: People, contacts: Sequence[Contact], rng: random.Random) -> None:
        self._people = people
        self._ledger = people.ledger
        self._closing = trio.Event()
        self._epoch = f"{rng.getrandbits(32):08x}"
        """Tells this gateway's event ids from those of an earlier one at the same address."""
        for contact in contacts:
            chat = payloads.chat_id_of(contact.chat)
            self._ledger.chat(chat, name=contact.name, members=dict(contact.members))

    def close(self) -> None:
        """End the open event streams, so that a stop of the server has nothing to wait for."""
        self._closing.set()
        self._closing = trio.Event()

    async def serve(self, request: Request, receive: Receive, send: Send) -> None:
        """Answer one request under ``/phone``."""
        route = request.method, request.path.rstrip("/")
        if not _is_local(request):
            await send_answer(send, error_answer(403, "the phone is for this machine alone"))
        elif route == ("GET", "/phone/events"):
            await self._stream(request, receive, send)
        elif request.method == "GET" and route[1] in _FILES:
            name, content_type = _FILES[route[1]]
            await send_answer(send, Answer(200, _static(name), content_type, _GUARDS))
        elif request.method == "GET" and route[1].startswith("/phone/media/"):
            await send_answer(send, self._media(route[1].rpartition("/")[2]))
        elif route == ("POST", "/phone/say"):
            await send_answer(send, await self._say(request))
        elif route == ("POST", "/phone/typing"):
            await send_answer(send, await self._type(request))
        else:
            await send_answer(send, error_answer(404, "no such page"))

    def _media(self, media_id: str) -> Answer:
        """Return a picture or a sound of a message; other files could be pages, so they are not."""
        media = self._ledger.media.get(media_id)
        if media is None or not media.mime_type.startswith(("image/", "audio/")):
            return error_answer(404, "no such picture or sound")
        return Answer(200, media.data, media.mime_type, _GUARDS)

    async def _say(self, request: Request) -> Answer:
        """Write as a customer, or as a human agent: ``{"chat", "text", "as"}``."""
        data = request.json_object() or {}
        chat, text = str(data.get("chat", "")), data.get("text")
        if chat not in self._ledger.chats or not isinstance(text, str):
            return error_answer(400, "unknown chat, or no text")
        if not text.strip() or len(text) > MAX_TEXT:
            return error_answer(400, f"between 1 and {MAX_TEXT} characters")
        if data.get("as") == "agent":
            message_id = await self._people.agent_says(chat, text, deliver="queued")
        else:
            message_id = await self._people.customer_says(chat, text, deliver="queued")
        return json_answer({"id": message_id}, 202)

    async def _type(self, request: Request) -> Answer:
        """Begin or stop typing as a customer: ``{"chat", "typing"}``."""
        data = request.json_object() or {}
        chat = str(data.get("chat", ""))
        if chat not in self._ledger.chats:
            return error_answer(400, "unknown chat")
        if data.get("typing"):
            await self._people.customer_types(chat, deliver="queued")
        else:
            await self._people.customer_stops(chat, deliver="queued")
        return json_answer({}, 202)

    async def _stream(self, request: Request, receive: Receive, send: Send) -> None:
        """Send Server-Sent Events until the client leaves or the gateway closes.

        A page that comes back gets what it missed; any other, or one that was away for too long,
        gets a snapshot of everything first.
        """
        headers = {"content-type": "text/event-stream", **_GUARDS}
        start = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        async with trio.open_nursery() as nursery:

            async def end_after(wait: trio.Event | None) -> None:
                await (wait_disconnect(receive) if wait is None else wait.wait())
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_after, None, name="phone client watch")
            nursery.start_soon(end_after, self._closing, name="phone closing watch")
            await self._send_events(send, self._place(request.headers.get("last-event-id", "")))
        await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, send: Send, place: int | None) -> None:
        journal = self._ledger.journal
        while True:
            entries = None if place is None else journal.since(place)
            place = journal.last_number
            if entries is None:
                text = self._event(place, "snapshot", self._snapshot())
            else:
                shown = (entry for entry in entries if entry.kind in _SHOWN)
                text = "".join(self._event(e.number, e.kind, e.data) for e in shown)
            if text:
                part = text.encode("utf-8", "replace")
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if journal.last_number == place:
                with trio.move_on_after(HEARTBEAT_SECONDS) as waiting:
                    await journal.wait_change()
                if waiting.cancelled_caught:
                    beat = {"type": "http.response.body", "body": b": \n\n", "more_body": True}
                    await send(beat)

    def _place(self, event_id: str) -> int | None:
        epoch, _, number = event_id.partition("-")
        known = epoch == self._epoch and number.isascii() and number.isdigit()
        return int(number) if known else None

    def _event(self, number: int, kind: str, data: JsonObject) -> str:
        text = json.dumps(data, ensure_ascii=False)
        return f"id: {self._epoch}-{number}\nevent: {kind}\ndata: {text}\n\n"

    def _snapshot(self) -> JsonObject:
        return {
            "business": payloads.OWN_NAME,
            "chats": [
                {
                    **self._ledger.describe(chat),
                    "presence": chat.presence,
                    "messages": [
                        {**message, "status": self._ledger.statuses.get(message["id"], "sent")}
                        for message in chat.messages[-SNAPSHOT_MESSAGES:]
                    ],
                }
                for chat in self._ledger.chats.values()
            ],
        }


def _static(name: str) -> bytes:
    return (resources.files(__package__) / "static" / name).read_bytes()


def _is_local(request: Request) -> bool:
    """Return whether a request comes from this machine and from this page.

    Browsers name the page's origin in every POST, so another site's is seen; a request without one
    is not a browser's.
    """
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    return (
        _is_loopback(request.peer)
        and _is_loopback(urlsplit(f"//{host}").hostname or "")
        and (request.method == "GET" or origin in {None, f"http://{host}"})
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
