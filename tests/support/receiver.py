"""A system that takes outgoing webhooks: an HTTP server on loopback that verifies signatures."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import trio
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from daemon.sandbox.asgi import Receive, Scope, Send, json_answer, read_request, send_answer
from daemon.settings.webhooks import WebhookSettings
from support.serving import serve_in

KEY = base64.b64encode(b"k" * 32).decode()
SECRET = f"whsec_{KEY}"
UNVERIFIED = 401
"""The answer to a request whose signature is wrong, or too old or too new."""


@dataclass(frozen=True)
class Taken:
    """One request that was answered with success."""

    id: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        """Of the event."""
        return str(self.body["type"])

    @property
    def data(self) -> dict[str, Any]:
        """What happened."""
        return dict(self.body["data"])


class Receiver:
    """Keeps what it has taken; answers with `status`, once `open` is set."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        """Of its answers."""
        self.open = trio.Event()
        self.open.set()
        self.asked: list[str] = []
        """The ids of all requests, in order."""
        self.unverified: list[str] = []
        """The ids of requests whose signature is wrong."""
        self.taken: list[Taken] = []
        self.url = ""
        self.secret = SECRET
        """The only one that it knows."""

    def settings(self, **more: Any) -> WebhookSettings:
        """The settings of an endpoint for it."""
        wanted = {"name": "crm", "secret": (SecretStr(SECRET),), "private": True, **more}
        return WebhookSettings(url=f"{self.url}/hooks", **wanted)

    def table(self) -> dict[str, object]:
        """The same as a table of the configuration."""
        return {"name": "crm", "url": f"{self.url}/hooks", "secret": SECRET, "private": True}

    def requests(self) -> Iterator[tuple[str, str, str, str]]:
        """Id, type, name of what it is about (or nothing) and body of all that was taken."""
        for taken in self.taken:
            body = json.dumps(taken.body, sort_keys=True)
            yield taken.id, taken.type, _about(taken), body

    def of(self, kind: str) -> list[Taken]:
        """What was taken of one type of event."""
        return [taken for taken in self.taken if taken.type == kind]

    def types(self) -> Iterator[str]:
        """The types of all that was taken, in order."""
        return (taken.type for taken in self.taken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        request = await read_request(scope, receive)
        webhook_id = request.headers.get("webhook-id", "")
        self.asked.append(webhook_id)
        await self.open.wait()
        try:
            body = Webhook(self.secret).verify(request.body, dict(request.headers))
        except WebhookVerificationError:
            self.unverified.append(webhook_id)
            body = None
        status = self.status if body is not None else UNVERIFIED
        if status == 200 and body is not None:
            self.taken.append(Taken(webhook_id, body))
        await send_answer(send, replace(json_answer({}, status), headers=self.headers))


def _about(taken: Taken) -> str:
    """The message, turn, or reminder and state, that a request is about."""
    if taken.type == "turn.ended":
        return str(taken.data["turn"])
    if taken.type == "reminder.changed":
        return f"{taken.data['reminder']} {taken.data['state']}"
    return str(taken.data["message_id"]) if taken.type.startswith("message.") else ""


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    """Run a receiver for the length of the block."""
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        receiver.url = await serve_in(nursery, receiver, name="receiver of webhooks")
        yield receiver
        nursery.cancel_scope.cancel()
