"""The simulated phone: one page, its live events, and the actions typed into it.

The page stands for the phones of the customers, and of the business's human agents. There is no
login, so it answers only loopback addresses and names of loopback addresses: that keeps out
other machines, other sites' pages, and names that were rebound to 127.0.0.1.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from ipaddress import ip_address
from urllib.parse import urlsplit

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads, samples
from daemon.sandbox.asgi import (
    Answer,
    Receive,
    Request,
    Send,
    error_answer,
    send_answer,
    wait_disconnect,
)
from daemon.sandbox.channel import Channel
from daemon.sandbox.contacts import SimulatedPhones
from daemon.sandbox.faults import Controls
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.phone_actions import PhoneActions
from daemon.sandbox.whapi_api import Directory

HEARTBEAT_SECONDS = 15.0
"""How often a quiet event stream says something, so that a dead client is noticed."""
SNAPSHOT_MESSAGES = 200
"""How many messages of each chat a page gets when it opens."""
_SHOWN = frozenset({"chat", "message", "changed", "presence", "status", "channel", "control"})
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_GUARDS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none';"
        " frame-ancestors 'self' http://127.0.0.1:* http://localhost:*"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""A page of this machine may show the phone beside itself, such as the dashboard; no other may."""
_PLAYED = ("image/jpeg", "image/png", "image/webp", "image/gif", "audio/", "video/")


@dataclass(frozen=True, slots=True)
class Contact:
    """A simulated sender: a person, or a group with its participants (digits and names)."""

    chat: str
    name: str
    members: dict[str, str] = field(default_factory=dict)


CONTACTS = (
    Contact("573001234567", "Laura Gómez"),
    Contact("573005550142", "Andrés Pardo"),
    Contact("573005550173", "Sofía Rincón"),
    Contact("573005550188", "Emma Carter"),
    Contact(
        "120363000000000042@g.us",
        "Paseo a Salento",
        {
            "573001234567": "Laura Gómez",
            "573005550142": "Andrés Pardo",
            "573005550173": "Sofía Rincón",
        },
    ),
)
"""The invented people of the sandbox."""


class Phone:
    """Serves the page and its events; `PhoneActions` does what is typed into it."""

    def __init__(
        self,
        *,
        phones: SimulatedPhones,
        media: MediaFiles,
        controls: Controls,
        directory: Directory,
        channel: Channel,
        contacts: Sequence[Contact],
        rng: random.Random,
    ) -> None:
        self.gateways: tuple[JsonObject, ...] = ()
        """The phones of all simulated gateways, with ``name``, ``url`` and ``current``, if there
        are several."""
        self.language = "es"
        """Language of the page, ``es`` or ``en``."""
        self.model: JsonObject | None = None
        """Name and address (``name``, ``at``) of a real model; None: a simulated one answers."""
        self._ledger = phones.ledger
        self._actions = PhoneActions(phones=phones, media=media, controls=controls)
        self._controls = controls
        self._directory = directory
        self._channel = channel
        self._closing = trio.Event()
        self._epoch = f"{rng.getrandbits(32):08x}"
        """Distinguishes this gateway's event ids from an earlier one's at the same address."""
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
        elif request.method == "GET" and route[1].startswith("/phone/media/"):
            await send_answer(send, self._media(route[1].rpartition("/")[2]))
        elif request.method == "GET":
            await send_answer(send, self._file(route[1]))
        elif request.method == "POST":
            action = route[1].removeprefix("/phone/")
            await send_answer(send, await self._actions.perform(action, request))
        else:
            await send_answer(send, error_answer(405, "GET or POST"))

    def _media(self, media_id: str) -> Answer:
        """Return a file of a message; what could be a page is saved, never shown."""
        media = self._ledger.media.get(media_id)
        if media is None:
            return error_answer(404, "no such file")
        if media.mime_type.startswith(_PLAYED):
            return Answer(200, media.data, media.mime_type, _GUARDS)
        saved = {**_GUARDS, "content-disposition": "attachment"}
        return Answer(200, media.data, "application/octet-stream", saved)

    def _file(self, path: str) -> Answer:
        """Return the page or one of its files, by its name alone."""
        name = path.removeprefix("/phone").removeprefix("/") or "phone.html"
        content_type = _TYPES.get(name.rpartition(".")[2])
        if content_type is None or not re.fullmatch(r"[\w-]+\.\w+", name):
            return error_answer(404, "no such page")
        try:
            body = (resources.files(__package__) / "static" / name).read_bytes()
        except FileNotFoundError:
            return error_answer(404, "no such page")
        if name == "phone.html":
            body = body.replace(b'lang="es"', f'lang="{self.language}"'.encode(), 1)
        return Answer(200, body, content_type, _GUARDS)

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
                text = "".join(self._event(e.number, e.kind, _light(e.data)) for e in shown)
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
            "number": payloads.OWN_NUMBER,
            "gateways": list(self.gateways),
            "labels": self._directory.labels,
            "channel": self._channel.state,
            "controls": self._controls.describe(),
            "model": self.model,
            "samples": [
                {"name": s.name, "medium": s.medium, "words": s.words}
                for s in samples.SAMPLES.values()
            ],
            "chats": [
                {
                    **self._ledger.describe(chat),
                    "presence": chat.presence,
                    "messages": [
                        {
                            **without_preview(message),
                            "status": self._ledger.statuses.get(message["id"], "sent"),
                        }
                        for message in chat.messages[-SNAPSHOT_MESSAGES:]
                    ],
                }
                for chat in self._ledger.chats.values()
            ],
        }


def without_preview(message: JsonObject) -> JsonObject:
    """Return a message without the small picture in it: the page has the file itself."""
    kind = message["type"]
    content = message.get(kind)
    if not isinstance(content, dict) or "preview" not in content:
        return message
    return {**message, kind: {k: v for k, v in content.items() if k != "preview"}}


def _light(data: JsonObject) -> JsonObject:
    return {**data, "message": without_preview(data["message"])} if "message" in data else data


def _is_local(request: Request) -> bool:
    """Return whether a request comes from this machine and from this page.

    Browsers name the page's origin in every POST, so another site's is seen; a request without one
    is not a browser's.
    """
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    return (
        is_loopback(request.peer)
        and is_loopback(urlsplit(f"//{host}").hostname or "")
        and (request.method == "GET" or origin in {None, f"http://{host}"})
    )


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
