"""A real HTTP server on loopback to which notifications are sent, as JSON."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from daemon.sandbox.asgi import Receive, Scope, Send, json_answer, read_request, send_answer
from support.serving import serve_in


class NotificationTarget:
    """Keeps the requests; answers with `status`, once `open` is set."""

    def __init__(self) -> None:
        self.status = 200
        self.open = trio.Event()
        self.open.set()
        self.asked = 0
        """How many requests have begun."""
        self.taken: list[dict[str, Any]] = []
        """The bodies that were answered with 200."""
        self.port = 0

    @property
    def address(self) -> str:
        """Its address for Apprise."""
        return f"json://127.0.0.1:{self.port}/notify"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        request = await read_request(scope, receive)
        self.asked += 1
        await self.open.wait()
        if self.status == 200:
            self.taken.append(json.loads(request.body))
        await send_answer(send, json_answer({}, self.status))


@asynccontextmanager
async def open_target() -> AsyncIterator[NotificationTarget]:
    """Run a target for the length of the block."""
    target = NotificationTarget()
    async with trio.open_nursery() as nursery:
        url = await serve_in(nursery, target, name="notification target")
        target.port = int(url.rpartition(":")[2])
        yield target
        nursery.cancel_scope.cancel()
