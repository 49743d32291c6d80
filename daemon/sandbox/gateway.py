"""The simulated Whapi gateway: a bare ASGI application, and a task that delivers its webhooks.

It lives on when the daemon is killed, so what it recorded is the judge of what a customer saw. The
gateway has no server of its own: whoever composes it serves it, on loopback, and starts `run`.
"""

import hmac
import random
from collections.abc import Callable, Sequence

import trio

from daemon.model import JsonObject
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
from daemon.sandbox.channel_settings import ChannelSettings
from daemon.sandbox.echoes import Echo, Echoes
from daemon.sandbox.faults import Faults, Reply, refuse, spoil
from daemon.sandbox.ledger import Call, Ledger, PresenceSet, SentMessage
from daemon.sandbox.people import People
from daemon.sandbox.phone import Contact, Phone
from daemon.sandbox.webhooks import Delivery, Postbox
from daemon.sandbox.whapi_api import Route, WhapiApi, recipient_of

LABELS: tuple[JsonObject, ...] = (
    {"id": "1", "name": "Nuevo cliente", "color": "gold"},
    {"id": "2", "name": "Cotizado", "color": "lightblue"},
    {"id": "3", "name": "Atiende una persona", "color": "red"},
)
"""The labels that the simulated business has."""


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
        self.echoes = Echoes(people=self, now=now, rng=rng)
        self.api = WhapiApi(
            ledger=ledger, now=now, rng=rng, labels=list(LABELS), settings=self.settings
        )
        self.phone = Phone(people=self, contacts=contacts, rng=rng)
        self.honour_typing_time = False
        """Whether a send with ``typing_time`` is delivered that much later, as by Whapi."""
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

    def store_media(self, data: bytes, mime_type: str) -> str:
        """Keep a file for ``GET /media/{id}`` and return its id."""
        return self.api.sending.store_media(data, mime_type)

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
            reply = Reply(error_answer(401, "need channel authorization"))
        elif isinstance(found, int):
            reply = Reply(error_answer(found, "no such endpoint"))
        else:
            operation = found[0].operation
            reply, echoes = await self._perform(*found, request, receive)
        status = reply.answer.status if reply.answer else 0
        # In the ledger first, so that it is there for whoever has seen the answer.
        self.ledger.add_call(Call(self._now(), request.method, request.path, operation, status))
        try:
            await reply.send(send)
        finally:
            # Nothing here waits: the echoes are told even if the server cancels this request.
            for echo in echoes:
                self.echoes.after_answer(echo)

    async def _perform(
        self, route: Route, parameters: tuple[str, ...], request: Request, receive: Receive
    ) -> tuple[Reply, list[Echo]]:
        """Do what was asked, or what a fault makes of it; return the reply and what to echo."""
        chat = recipient_of(request, parameters)
        fault = self.faults.take(route.operation, chat)
        refused = await refuse(fault, receive)
        if refused is not None:
            return refused, []
        if self.honour_typing_time and route.operation == "send":
            await self._type(request, chat)
        answer = route.handler(request, *parameters)
        echoes = [self.echoes.begin(message) for message in self.api.sending.take_made()]
        for echo in echoes:
            await self.echoes.before_answer(echo)
        return await spoil(fault, answer, receive), echoes

    async def _type(self, request: Request, chat: str) -> None:
        seconds = (request.json_object() or {}).get("typing_time")
        if isinstance(seconds, int | float) and 0 < seconds <= 60 and chat in self.ledger.chats:
            self.ledger.show_presence(chat, "typing")
            await trio.sleep(seconds)

    def _is_authorised(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.query.get("token", "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)
