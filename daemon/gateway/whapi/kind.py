"""Whapi as one of the gateways: how a number of it is opened, and checked.

Not used while messages come and go.
"""

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random, SystemRandom
from time import time

from daemon.domain.messages import JsonObject
from daemon.errors import GatewayError, GatewayRefused
from daemon.gateway.port import FileServer, GatewayKind, Level, Observe
from daemon.gateway.whapi.client import WhapiClient, open_whapi
from daemon.gateway.whapi.payloads.channel_settings import (
    ours_among,
    reachable_from_outside,
    webhook_faults,
)
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.settings import Settings


def open_number(
    settings: Settings,
    *,
    rng: Random | None = None,
    now: Callable[[], float] = time,
    observe: Observe | None = None,
    tls: ssl.SSLContext | None = None,
) -> AbstractAsyncContextManager[WhapiClient]:
    """See `daemon.gateway.port.OpenGateway`."""
    server = _file_server(settings)
    return open_whapi(
        api_url=server.url,
        token=server.token,
        timeout_seconds=settings.whapi.timeout_seconds,
        rng=rng or SystemRandom(),
        now=now,
        observe=observe,
        tls=tls,
    )


def _file_server(settings: Settings) -> FileServer:
    token = settings.whapi.token
    return FileServer(
        settings.whapi.api_url, token.get_secret_value() if token else "", "whapi.api_url"
    )


async def _check(settings: Settings) -> list[tuple[Level, str]]:
    async with open_number(settings) as whapi:
        return [*await _channel(whapi), *await _webhooks(whapi, settings)]


async def _channel(whapi: WhapiClient) -> list[tuple[Level, str]]:
    try:
        health = await whapi.health()
    except GatewayError as error:
        return [("error", str(error))]
    if health.condition == "ok":
        return [("ok", f"channel: {health.channel or 'linked'}")]
    what = {"stopped": "stopped", "needs_qr": "not linked to a phone"}
    state = what.get(health.condition, "not usable")
    return [("error", f"the channel is {state}: {health.detail}")]


async def _webhooks(whapi: WhapiClient, settings: Settings) -> list[tuple[Level, str]]:
    try:
        found = await whapi.get_settings()
    except GatewayError as error:
        return [("error", str(error))]
    secrets = [secret.get_secret_value() for secret in settings.web.webhook_secret]
    url = settings.web.webhook_url
    faults = webhook_faults(found, url, secrets)
    lines: list[tuple[Level, str]] = [
        ("error" if grave else "warning", text) for text, grave in faults
    ]
    for entry in ours_among(found, url) if url else []:
        lines += await _reached(whapi, entry)
    return lines or [("ok", f"webhook: {url}")]


async def _reached(whapi: WhapiClient, entry: JsonObject) -> list[tuple[Level, str]]:
    """Let Whapi call the webhook; nothing to say if that works."""
    if not reachable_from_outside(str(entry.get("url"))):
        return []  # `webhook_faults` says so already
    try:
        if await whapi.test_webhook(entry):
            return []
    except GatewayRefused as error:
        return [("warning", f"whether Whapi reaches the webhook is not known: {error}")]
    except GatewayError as error:
        return [("error", str(error))]
    text = "Whapi does not reach the webhook: is the daemon running, and its address public?"
    return [("error", text)]


WHAPI = GatewayKind(
    name="whapi",
    parse_webhook=parse_webhook,
    open=open_number,
    file_server=_file_server,
    check=_check,
)
