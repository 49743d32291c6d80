"""Both simulators of the sandbox, scripted."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from daemon.conversation.opening import Environment
from daemon.sandbox import start
from daemon.sandbox.phone import CONTACTS
from support.gateway import ScriptedGateway
from support.model import ScriptedModel


@dataclass(frozen=True, slots=True)
class Simulators(start.Simulators):
    """The two simulated servers and their addresses."""

    gateway: ScriptedGateway
    model: ScriptedModel


@asynccontextmanager
async def simulators(
    environment: Environment,
    *,
    tokens_per_second: float = 0,
    gateway_port: int = 0,
    model_port: int = 0,
    webhook_secret: str = "",
) -> AsyncIterator[Simulators]:
    """Run both on loopback for the length of the block."""
    rng = random.Random(environment.random.getrandbits(64))  # noqa: S311 - a simulation
    now, token = environment.now, start.TOKEN
    gateway = ScriptedGateway(
        token=token, now=now, rng=rng, contacts=CONTACTS, webhook_secret=webhook_secret
    )
    model = ScriptedModel(now=now, rng=rng, api_key=token, tokens_per_second=tokens_per_second)
    ports = {"gateway_port": gateway_port, "model_port": model_port}
    async with start.simulators(environment, gateway, model, **ports) as outside:
        yield Simulators(gateway, outside.gateway_url, model, outside.model_url)
