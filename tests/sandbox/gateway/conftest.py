"""A gateway on a real port, a receiver of its webhooks on another, and a client of its API."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httpx
import pytest
import trio
from support.edge import MemoryLog
from support.gateway import ScriptedGateway
from support.plain import NO_TLS

from daemon.http.server import serve
from daemon.sandbox.asgi import follow_lifespan, read_request
from daemon.sandbox.phone import CONTACTS

TOKEN = "sandbox-token"
SECRET = "hook-secret"
LAURA = "573001234567"


@dataclass
class Received:
    """One webhook call as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body))

    @property
    def event(self) -> str:
        event = self.payload["event"]
        return f"{event['type']}.{event['event']}"


@dataclass
class Receiver:
    """Stands where the daemon does: takes webhooks, and answers what `statuses` says, then 200."""

    calls: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    arrived: trio.Event = field(default_factory=trio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
            return
        request = await read_request(scope, receive)
        self.calls.append(
            Received(request.method, request.path, dict(request.headers), request.body)
        )
        status = self.statuses.pop(0) if self.statuses else 200
        head = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b""})
        self.arrived.set()
        self.arrived = trio.Event()

    async def wait_calls(self, count: int) -> list[Received]:
        while len(self.calls) < count:
            await self.arrived.wait()
        return self.calls


Serve = Callable[[Any], Awaitable[str]]


@pytest.fixture
async def serve_app(nursery: trio.Nursery) -> Serve:
    """Serve any ASGI app on a free port until the test ends; return its URL."""

    async def start(app: Any) -> str:
        start_serving = partial(
            serve,
            app,
            binds=["127.0.0.1:0"],
            stop=trio.Event(),
            grace_seconds=1,
            log=MemoryLog(),
        )
        urls = await nursery.start(start_serving)
        return str(urls[0])

    return start


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def gateway(nursery: trio.Nursery, receiver: Receiver, serve_app: Serve) -> ScriptedGateway:
    """A running gateway whose webhooks reach `receiver`."""
    hook = await serve_app(receiver)
    gateway = ScriptedGateway(
        token=TOKEN,
        now=lambda: 1763890000.0,
        rng=random.Random(7),  # noqa: S311 - the same ids in every run
        webhook_url=f"{hook}/hook",
        webhook_secret=SECRET,
        backoff_seconds=0.001,
        contacts=CONTACTS,
    )
    await nursery.start(gateway.run)
    return gateway


@pytest.fixture
async def api(gateway: ScriptedGateway, serve_app: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway's API with the right token."""
    url = await serve_app(gateway)
    gateway.set_base_url(url)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        verify=NO_TLS, base_url=url, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client
