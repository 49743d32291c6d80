"""Each gateway against its simulator, behind the names that the contract uses."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
import trio
from pydantic import SecretStr
from support.cloud_bodies import PHONE_NUMBER_ID
from support.cloud_script import ScriptedCloud
from support.edge import MemoryLog
from support.gateway import ScriptedGateway

from daemon.domain.messages import NumberCondition, Webhook
from daemon.gateway.cloud.kind import CLOUD
from daemon.gateway.port import FileServer, Gateway
from daemon.gateway.whapi.client import open_whapi
from daemon.http.server import serve
from daemon.sandbox.asgi import follow_lifespan, read_request
from daemon.sandbox.phone import CONTACTS
from daemon.settings import Settings

TOKEN = "invented-token-1234567890"
LAURA = "573001234567@s.whatsapp.net"
LAURAS_ALIAS = "88012345678901@lid"

Failure = Literal["temporary", "unknown", "number", "recipient", "form"]
"""What a send may come to, by the caller's next step."""


@dataclass
class Rig:
    """A gateway as `daemon.gateway.port` has it, and the other side of it."""

    gateway: Gateway
    simulator: Any
    """`ScriptedGateway`, or what has the same methods."""
    bodies: list[bytes]
    """Of the webhook calls so far."""
    alias: str
    """Under which the gateway knows Laura too; empty if it looks none up."""
    states: dict[NumberCondition, str]
    """The states of the number that its simulator can be in, by what they come to."""
    files: FileServer
    echoes: bool = True
    """Whether our own sends come back as webhooks."""

    def be(self, condition: NumberCondition) -> None:
        """Let the number be so."""
        self.simulator.set_channel_state(self.states[condition])

    def fail(self, operation: Literal["send", "list", "labels"], failure: Failure) -> None:
        """Let all calls of an operation fail in this way."""
        later = "7" if operation == "send" else ""
        whapis: dict[Failure, dict[str, Any]] = {
            "temporary": {"kind": "status", "status": 429, "retry_after": later},
            "unknown": {"kind": "drop_after"},
            "number": {"kind": "status", "status": 401},
            "recipient": {"kind": "status", "status": 403},
            "form": {"kind": "status", "status": 400, "message": f"no {LAURA} here"},
        }
        self.simulator.faults.add(operation=operation, times=-1, **whapis[failure])

    async def customer_sends_picture(self, data: bytes) -> None:
        """Let the customer send a JPEG."""
        await self.simulator.contact(LAURA.partition("@")[0]).send_image(data, "image/jpeg")

    def received(self) -> list[str]:
        """What the customer got, in order."""
        return [message.text for message in self.simulator.sent(LAURA)]

    def requests(self) -> int:
        """How many sends the gateway was asked for."""
        return len(self.simulator.calls("send"))

    def webhooks(self) -> list[Webhook]:
        """What the webhook calls so far have told."""
        return [self.gateway.parse_webhook(body, number="main") for body in self.bodies]


async def _take_webhooks(bodies: list[bytes], scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await follow_lifespan(receive, send)
        return
    bodies.append((await read_request(scope, receive)).body)
    head = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def _served(app: Any, nursery: trio.Nursery) -> str:
    start = partial(
        serve, app, binds=["127.0.0.1:0"], stop=trio.Event(), grace_seconds=1, log=MemoryLog()
    )
    (url,) = await nursery.start(start)
    return str(url)


@asynccontextmanager
async def whapi_rig() -> AsyncIterator[Rig]:
    """Whapi's client and the simulated Whapi."""
    bodies: list[bytes] = []
    rng = random.Random(7)  # noqa: S311 - the same ids in every run
    async with trio.open_nursery() as nursery:
        hook = await _served(partial(_take_webhooks, bodies), nursery)
        simulator = ScriptedGateway(
            token=TOKEN,
            now=time.time,
            rng=rng,
            webhook_url=f"{hook}/hook",
            webhook_secret="hook-secret",
            backoff_seconds=0.001,
            contacts=CONTACTS,
        )
        simulator.directory.lids[LAURA.partition("@")[0]] = LAURAS_ALIAS
        await nursery.start(simulator.run)
        url = await _served(simulator, nursery)
        simulator.set_base_url(url)
        async with open_whapi(api_url=url, token=TOKEN, timeout_seconds=30, rng=rng) as gateway:
            files = FileServer(url, TOKEN, "whapi.api_url")
            yield Rig(gateway, simulator, bodies, LAURAS_ALIAS, WHAPI_STATES, files)
        nursery.cancel_scope.cancel()


class CloudRig(Rig):
    """The same for the Cloud API."""

    def be(self, condition: NumberCondition) -> None:
        self.simulator.status = self.states[condition]

    async def customer_sends_picture(self, data: bytes) -> None:
        await self.simulator.customer_sends_file(LAURA, "image", data, "image/jpeg")

    def fail(self, operation: Literal["send", "list", "labels"], failure: Failure) -> None:
        metas: dict[Failure, dict[str, Any]] = {
            "temporary": {"kind": "code", "code": 130429, "retry_after": "7"},
            "unknown": {"kind": "drop_after"},
            "number": {"kind": "code", "code": 131042},
            "recipient": {"kind": "code", "code": 131026},
            "form": {"kind": "code", "code": 131009},
        }
        self.simulator.faults.add(operation=operation, times=-1, **metas[failure])


@asynccontextmanager
async def cloud_rig() -> AsyncIterator[Rig]:
    """The Cloud API's client and the simulated Cloud API."""
    bodies: list[bytes] = []
    rng = random.Random(7)  # noqa: S311 - the same ids in every run
    async with trio.open_nursery() as nursery:
        simulator = ScriptedCloud(
            token=TOKEN, app_secret="s", phone_number_id=PHONE_NUMBER_ID, rng=rng
        )
        simulator.webhook_url = await _served(partial(_take_webhooks, bodies), nursery)
        await nursery.start(simulator.run)
        url = await _served(simulator, nursery)
        simulator.set_base_url(url)
        cloud = Settings().cloud.model_copy(
            update={
                "api_url": url,
                "token": SecretStr(TOKEN),
                "phone_number_id": PHONE_NUMBER_ID,
                "timeout_seconds": 30.0,
            }
        )
        settings = Settings().model_copy(update={"gateway": "cloud", "cloud": cloud})
        async with CLOUD.open(settings, rng=rng, now=time.time, observe=None, tls=None) as gateway:
            files = CLOUD.file_server(settings)
            yield CloudRig(gateway, simulator, bodies, "", CLOUD_STATES, files, echoes=False)
        nursery.cancel_scope.cancel()


WHAPI_STATES: dict[NumberCondition, str] = {
    "needs_qr": "QR",
    "stopped": "STOP",
    "connecting": "LAUNCH",
}
CLOUD_STATES: dict[NumberCondition, str] = {
    "needs_qr": "DISCONNECTED",
    "error": "BANNED",
    "connecting": "PENDING",
}

RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {
    "whapi": whapi_rig,
    "cloud": cloud_rig,
}
"""One for each of `daemon.gateway.kinds.GATEWAYS`."""


@pytest.fixture(params=sorted(RIGS))
async def rig(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    """Give each gateway in turn; its repetitions follow at once."""
    monkeypatch.setattr("daemon.gateway.exchange.BACKOFF_BASE_SECONDS", 0.01)
    with trio.fail_after(60):
        async with RIGS[request.param]() as opened:
            yield opened
