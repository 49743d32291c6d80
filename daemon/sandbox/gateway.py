"""The simulated Whapi gateway: a bare ASGI application, and a task that delivers its webhooks.

It lives on when the daemon is killed, so what it recorded is the judge of what a customer saw. The
gateway has no server of its own: whoever composes it serves it, on loopback, and starts `run`.
"""

import hmac
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import (
    ClientGone,
    Receive,
    Request,
    Scope,
    Send,
    error_answer,
    follow_lifespan,
    read_request,
)
from daemon.sandbox.channel import Channel, ChannelState
from daemon.sandbox.channel_settings import ChannelSettings
from daemon.sandbox.controls import Controls, add_gateway_switches
from daemon.sandbox.directory import Directory
from daemon.sandbox.echoes import Echo, Echoes
from daemon.sandbox.faults import Faults, Reply, refuse, spoil
from daemon.sandbox.forms import Upload
from daemon.sandbox.group import Group
from daemon.sandbox.ledger import Call, Ledger, PresenceSet, SentMessage
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.people import People
from daemon.sandbox.person import Person
from daemon.sandbox.phone import Contact, Phone, is_loopback
from daemon.sandbox.webhooks import Delivery, Postbox, plain_client
from daemon.sandbox.whapi_api import Route, WhapiApi, recipient_of

LABELS: tuple[JsonObject, ...] = (
    {"id": "1", "name": "Nuevo cliente", "color": "gold"},
    {"id": "2", "name": "Cotizado", "color": "lightblue"},
    {"id": "3", "name": "Atiende una persona", "color": "red"},
)
"""The labels that the simulated business has."""

FETCH_SECONDS = 10.0
"""How long the fetch of a file to be sent may take."""


class Gateway(People):
    """Whapi and WhatsApp in one: the API, the people, the ledger, the faults, the phone page.

    All in memory, for one trio thread. The methods of `People` are what customers and agents do.
    """

    def __init__(
        self,
        *,
        token: str,
        now: Callable[[], float],
        rng: random.Random,
        webhook_url: str = "",
        webhook_secret: str = "",
        backoff_seconds: float = 3.0,
        max_backoff_seconds: float = 900.0,
        webhook_timeout_seconds: float = 30.0,
        contacts: Sequence[Contact] = (),
    ) -> None:
        """`now` is the wall clock in Unix seconds.

        The waits between tries of a webhook are Whapi's documented defaults; tests take tiny ones.
        """
        ledger = Ledger()
        self.settings = ChannelSettings(webhook_url=webhook_url, webhook_secret=webhook_secret)
        postbox = Postbox(
            now=now,
            backoff_seconds=backoff_seconds,
            max_backoff_seconds=max_backoff_seconds,
            timeout_seconds=webhook_timeout_seconds,
            tell=self._note_attempt,
        )
        super().__init__(
            ledger=ledger, postbox=postbox, targets=self.settings.targets, now=now, rng=rng
        )
        self.faults = Faults()
        self.echoes = Echoes(people=self, faults=self.faults, rng=rng)
        self.media = MediaFiles(ledger=ledger, rng=rng, now=now, has_link=self.settings.has_link)
        self.channel = Channel(journal=ledger.journal, now=now, tell=self._tell)
        self.directory = Directory(ledger=ledger, labels=list(LABELS), tell=self._tell)
        self.api = WhapiApi(
            people=self,
            channel=self.channel,
            directory=self.directory,
            media=self.media,
            settings=self.settings,
            now=now,
            rng=rng,
        )
        self.controls = Controls(journal=ledger.journal)
        add_gateway_switches(
            self.controls, faults=self.faults, channel=self.channel, expire=self._expire
        )
        self.phone = Phone(
            people=self,
            media=self.media,
            controls=self.controls,
            directory=self.directory,
            channel=self.channel,
            contacts=contacts,
            rng=rng,
        )
        self.honour_typing_time = False
        """Whether a send with ``typing_time`` is delivered that much later, as by Whapi."""
        self.token_is_good = True
        """Set to False, the token has expired: every call is answered as for a wrong one."""
        self._token = token.encode()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver webhooks. Runs until cancelled; ends the phone pages' event streams then."""
        try:
            await self.postbox.run(task_status=task_status)
        finally:
            self.phone.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope: HTTP, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            try:
                request = await read_request(scope, receive)
            except ClientGone:
                return
            if request.path == "/phone" or request.path.startswith("/phone/"):
                await self.phone.serve(request, receive, send)
            elif request.method == "GET" and request.path.startswith("/files/"):
                await self._serve_file(request, receive, send)
            else:
                await self._serve_api(request, receive, send)

    def sent(self, chat: str) -> list[SentMessage]:
        """Return what the daemon sent to a chat (digits or chat id), in order."""
        return self.ledger.sent(payloads.chat_id_of(chat))

    def presences(self, chat: str) -> list[PresenceSet]:
        """Return the indicators that the daemon showed in a chat, in order."""
        chat_id = payloads.chat_id_of(chat)
        return [presence for presence in self.ledger.presences if presence.chat == chat_id]

    def calls(self, operation: str) -> list[Call]:
        """Return the requests of one operation (see the routes), in the order of their ends."""
        return [call for call in self.ledger.calls if call.operation == operation]

    def acknowledged(self, message_id: str) -> bool:
        """Return whether a webhook with this message got its 200."""
        return message_id in self.ledger.acknowledged

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Wait until `predicate` holds; it is looked at whenever something was recorded."""
        await self.ledger.wait_for(predicate)

    async def wait_sent(self, chat: str, count: int = 1) -> list[SentMessage]:
        """Wait until the daemon has sent at least `count` messages to a chat; return them all."""
        await self.wait_for(lambda: len(self.sent(chat)) >= count)
        return self.sent(chat)

    def reset_faults(self) -> None:
        """Forget all faults, and let the calls they hold go on."""
        self.faults.reset()

    def set_webhook(self, url: str, *, mode: str = "body") -> None:
        """Send webhooks to `url` from now on (``body``, ``path`` or ``method`` mode).

        Those that still wait go there too: the daemon has moved.
        """
        self.settings.set_webhook(url, mode=mode)
        self.postbox.retarget(*self.targets())

    def set_base_url(self, url: str) -> None:
        """Say where this gateway is served, so that links can lead to its files."""
        self.media.base_url = url.rstrip("/")

    def set_auto_download(self, *media: str) -> None:
        """Give messages of these media (``image``, ``voice`` …; none: all off) a link."""
        self.settings.set_auto_download(*media)

    def set_channel_state(self, state: ChannelState) -> None:
        """Link or unlink the phone, or stop the channel; told by webhook."""
        self.channel.change(state)

    def set_labels(self, chat: str, *names: str) -> None:
        """Give a chat these labels, by name, as somebody does on the business's phone."""
        ids = [label["id"] for label in self.directory.labels if label["name"] in names]
        self.directory.set_labels(self.ledger.chat(payloads.chat_id_of(chat)), ids)

    def person(self, digits: str, *, name: str = "", chat: str = "") -> Person:
        """Return somebody who writes to us, or in the group `chat`."""
        return Person(self, self.media, digits, name=name, chat=chat)

    def group(self, chat: str, *, name: str = "", members: dict[str, str] | None = None) -> Group:
        """Return a group, opened with these participants (digits and names) if it is new."""
        self.ledger.chat(chat, name=name, members=members)
        return Group(self, self.media, chat)

    def store_media(self, data: bytes, mime_type: str, *, file_name: str = "") -> str:
        """Keep a file for ``GET /media/{id}`` and return its id."""
        return self.media.keep(Upload(data, mime_type, file_name))

    def _expire(self, expired: bool) -> None:  # noqa: FBT001 - a switch's position
        self.token_is_good = not expired

    def _tell(self, lane: str, event: str, parts: Mapping[str, Any]) -> None:
        self.queue(lane, event, parts)

    def _note_attempt(self, delivery: Delivery) -> None:
        if delivery.acknowledged.is_set():
            self.ledger.add_acknowledged(delivery.message_ids)
        data = {"event": delivery.event, "status": delivery.attempts[-1].status}
        self.ledger.journal.write("webhook", data)

    async def _serve_api(self, request: Request, receive: Receive, send: Send) -> None:
        found = self.api.find(request.method, request.path)
        operation = "none"
        echoes: list[Echo] = []
        if not self._is_authorised(request):
            reply = Reply(error_answer(404, "Channel not found"))
        elif isinstance(found, int):
            reply = Reply(error_answer(found, "no such endpoint"))
        elif refusal := self.channel.refusal(found[0].operation):
            operation, reply = found[0].operation, Reply(refusal)
        else:
            operation = found[0].operation
            reply, echoes = await self._perform(*found, request, receive)
        status = reply.answer.status if reply.answer else 0
        # In the ledger first, so that it is there for whoever has seen the answer.
        self.ledger.add_call(Call(self._now(), request.method, request.path, operation, status))
        try:
            await reply.send(receive, send)
        finally:
            # Nothing here waits: the echoes are told even if the server cancels this request.
            for echo in echoes:
                self.echoes.after_answer(echo)

    async def _perform(
        self, route: Route, parameters: tuple[str, ...], request: Request, receive: Receive
    ) -> tuple[Reply, list[Echo]]:
        """Do what was asked, or what a fault makes of it; return the reply and what to echo."""
        chat = recipient_of(request, parameters)
        fault = self.faults.take(route.operation, chat, request.fields())
        refused = await refuse(fault, receive)
        if refused is not None:
            return refused, []
        if self.honour_typing_time and route.operation == "send":
            await self._type(request, chat)
        if route.operation == "send":
            await self._fetch_media(request)
        answer = route.handler(request, *parameters)
        echoes = [self.echoes.begin(message) for message in self.api.sending.take_made()]
        for echo in echoes:
            await self.echoes.before_answer(echo)
        return await spoil(fault, answer, receive), echoes

    async def _serve_file(self, request: Request, receive: Receive, send: Send) -> None:
        """Answer a link to a file: no token is asked for, and faults may happen."""
        fault = self.faults.take("file", "")
        reply = await refuse(fault, receive)
        if reply is None:
            answer = self.media.get_linked(request, request.path.removeprefix("/files/"))
            reply = await spoil(fault, answer, receive)
        status = reply.answer.status if reply.answer else 0
        self.ledger.add_call(Call(self._now(), "GET", request.path, "file", status))
        await reply.send(receive, send)

    async def _fetch_media(self, request: Request) -> None:
        """Fetch what the ``media`` of a send leads to, as Whapi does; on this machine alone."""
        link = (request.json_object() or {}).get("media")
        if not isinstance(link, str) or not link.startswith("http") or self.media.known_by(link):
            return
        if not is_loopback(urlsplit(link).hostname or ""):
            return
        with trio.move_on_after(FETCH_SECONDS):
            async with plain_client() as client:
                try:
                    response = await client.get(link)
                except httpx.HTTPError:
                    return
            if response.status_code == 200:
                mime_type = response.headers.get("content-type", "application/octet-stream")
                self.media.keep_fetched(link, Upload(response.content, mime_type))

    async def _type(self, request: Request, chat: str) -> None:
        seconds = (request.json_object() or {}).get("typing_time")
        if isinstance(seconds, int | float) and 0 < seconds <= 60 and chat in self.ledger.chats:
            self.ledger.show_presence(chat, "typing")
            await trio.sleep(seconds)

    def _is_authorised(self, request: Request) -> bool:
        if not self.token_is_good:
            return False
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.query.get("token", "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)
