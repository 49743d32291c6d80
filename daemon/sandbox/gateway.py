"""The simulated Whapi gateway: a bare ASGI application, and a task that delivers its webhooks.

It has no server of its own: the code that builds it serves it, on loopback, and starts `run`. It
can outlive the daemon.
"""

import hmac
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox.asgi import (
    Answer,
    ClientGone,
    Receive,
    Request,
    Scope,
    Send,
    Upload,
    error_answer,
    follow_lifespan,
    read_request,
)
from daemon.sandbox.channel import Channel, ChannelSettings
from daemon.sandbox.contacts import SimulatedPhones
from daemon.sandbox.faults import Controls, FaultReply, Faults, add_gateway_switches
from daemon.sandbox.ledger import GatewayCall, Ledger
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.phone import Contact, Phone, is_loopback
from daemon.sandbox.sending import Echoes
from daemon.sandbox.webhooks import Postbox, WebhookPost, plain_client
from daemon.sandbox.whapi_api import Directory, Route, WhapiApi, recipient_of

LABELS: tuple[JsonObject, ...] = (
    {"id": "1", "name": "Nuevo cliente", "color": "gold"},
    {"id": "2", "name": "Cotizado", "color": "lightblue"},
    {"id": "3", "name": "Atiende una persona", "color": "red"},
)
"""The labels that the simulated business has."""

FETCH_SECONDS = 10.0
"""How long the fetch of a file to be sent may take."""


class SimulatedGateway(SimulatedPhones):
    """Whapi and WhatsApp in one: the API, the phones, the ledger, the faults, the phone page.

    All in memory, for one trio thread.
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
        faults: Faults | None = None,
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
            report=self._note_attempt,
        )
        super().__init__(
            ledger=ledger, postbox=postbox, targets=self.settings.targets, now=now, rng=rng
        )
        self.faults = Faults() if faults is None else faults
        self.echoes = Echoes(phones=self, faults=self.faults)
        self.media = MediaFiles(ledger=ledger, rng=rng, now=now, has_link=self.settings.has_link)
        self.channel = Channel(journal=ledger.journal, now=now, announce=self._announce)
        self.directory = Directory(ledger=ledger, labels=list(LABELS), announce=self._announce)
        self.api = WhapiApi(
            phones=self,
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
            phones=self,
            media=self.media,
            controls=self.controls,
            directory=self.directory,
            channel=self.channel,
            contacts=contacts,
            rng=rng,
        )
        self.token_is_good = True
        """False: the token has expired, and every call is answered as with a wrong one."""
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

    def set_webhook(self, url: str, *, mode: str = "body") -> None:
        """Send webhooks to `url` from now on (``body``, ``path`` or ``method`` mode).

        Those that still wait go there too.
        """
        self.settings.set_webhook(url, mode=mode)
        self.postbox.retarget(*self.targets())

    def set_base_url(self, url: str) -> None:
        """Say where this gateway is served, so that links can lead to its files."""
        self.media.base_url = url.rstrip("/")

    def _expire(self, expired: bool) -> None:  # noqa: FBT001 - a switch's position
        self.token_is_good = not expired

    def _announce(self, lane: str, event: str, parts: Mapping[str, Any]) -> None:
        self.queue(lane, event, parts)

    def _note_attempt(self, delivery: WebhookPost) -> None:
        if delivery.acknowledged.is_set():
            self.ledger.add_acknowledged(delivery.message_ids)
        data = {"event": delivery.event, "status": delivery.attempts[-1].status}
        self.ledger.journal.write("webhook", data)

    async def _serve_api(self, request: Request, receive: Receive, send: Send) -> None:
        found = self.api.find(request.method, request.path)
        operation = "none"
        made: list[JsonObject] = []
        if not self._is_authorised(request):
            reply = FaultReply(error_answer(404, "Channel not found"))
        elif isinstance(found, int):
            reply = FaultReply(error_answer(found, "no such endpoint"))
        elif refusal := self.channel.refusal(found[0].operation):
            operation, reply = found[0].operation, FaultReply(refusal)
        else:
            operation = found[0].operation
            reply, made = await self._perform(*found, request, receive)
        status = reply.answer.status if reply.answer else 0
        # First in the ledger, so that who has seen the answer finds the call there.
        self.ledger.add_call(
            GatewayCall(self._now(), request.method, request.path, operation, status)
        )
        try:
            await reply.send(receive, send)
        finally:
            # Nothing here waits: the echoes are sent even if the server cancels this request.
            for message in made:
                self.echoes.after_answer(message)

    async def _perform(
        self, route: Route, parameters: tuple[str, ...], request: Request, receive: Receive
    ) -> tuple[FaultReply, list[JsonObject]]:
        """Do what was asked, or what a fault makes of it; return the reply and what to echo."""
        chat = recipient_of(request, parameters)
        fault = self.faults.take(route.operation, chat, request.json_object())
        refused = await fault.refuse(receive) if fault else None
        if refused is not None:
            return refused, []
        answer, made = await self._do(route, parameters, request)
        return await fault.spoil(answer, receive) if fault else FaultReply(answer), made

    async def _do(
        self, route: Route, parameters: tuple[str, ...], request: Request
    ) -> tuple[Answer, list[JsonObject]]:
        """Do what was asked; return the answer and the messages that were made."""
        if route.operation == "send":
            await self._fetch_media(request)
        return route.handler(request, *parameters), self.api.sending.take_made()

    async def _serve_file(self, request: Request, receive: Receive, send: Send) -> None:
        """Answer a link to a file, which needs no token."""
        fault = self.faults.take("file", "")
        reply = await fault.refuse(receive) if fault else None
        if reply is None:
            answer = self.media.get_linked(request, request.path.removeprefix("/files/"))
            reply = await fault.spoil(answer, receive) if fault else FaultReply(answer)
        status = reply.answer.status if reply.answer else 0
        self.ledger.add_call(GatewayCall(self._now(), "GET", request.path, "file", status))
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

    def _is_authorised(self, request: Request) -> bool:
        if not self.token_is_good:
            return False
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.query.get("token", "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)
