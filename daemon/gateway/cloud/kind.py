"""The Cloud API as one of the gateways: how a number of it is opened, checked, and called."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random, SystemRandom
from time import time

from pydantic import SecretStr

from daemon.domain.rendering.templates import chosen, template_part
from daemon.errors import GatewayError, SettingsError
from daemon.gateway.cloud.client import CloudClient
from daemon.gateway.cloud.payloads.answers import refusal_of
from daemon.gateway.cloud.payloads.webhooks import (
    HEADER,
    challenge_of,
    is_signed,
    numbers_of,
    parse_webhook,
)
from daemon.gateway.exchange import open_calls
from daemon.gateway.port import FileServer, GatewayKind, Headers, Level, Observe
from daemon.settings import Settings

_MOST_CONNECTIONS = 100
"""Meta takes 80 messages a second from a number."""

_FILE_HOSTS = ("fbsbx.com", "fbcdn.net", "facebook.com", "whatsapp.net")
"""Meta's hosts of files; they take the token too."""


@asynccontextmanager
async def open_number(
    settings: Settings,
    *,
    rng: Random | None = None,
    now: Callable[[], float] = time,
    observe: Observe | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[CloudClient]:
    """See `daemon.gateway.port.OpenGateway`."""
    cloud, number_id = settings.cloud, settings.cloud.phone_number_id
    if not number_id:
        raise SettingsError(["cloud.phone_number_id: must be set"])
    async with open_calls(
        name="Cloud API",
        table="cloud",
        api_url=cloud.api_url,
        token=_text(cloud.token),
        refusal_of=refusal_of,
        timeout_seconds=cloud.timeout_seconds,
        most=_MOST_CONNECTIONS,
        rng=rng or SystemRandom(),
        now=now,
        observe=observe,
        tls=tls,
    ) as calls:
        yield CloudClient(
            calls,
            phone_number_id=number_id,
            account_id=cloud.business_account_id,
            bubbles=cloud.max_bubbles,
            pair_seconds=cloud.pair_seconds,
            status_seconds=cloud.status_seconds,
        )


def _file_server(settings: Settings) -> FileServer:
    cloud = settings.cloud
    return FileServer(
        cloud.api_url,
        _text(cloud.token),
        "cloud.api_url",
        path=f"/{{}}?phone_number_id={cloud.phone_number_id}",
        hosts=_FILE_HOSTS,
    )


def _is_genuine(settings: Settings, headers: Headers, body: bytes) -> bool:
    """True without the app's secret: then the webhooks are open, as the start says."""
    secret = _text(settings.cloud.app_secret)
    signatures = [value for name, value in headers if name == HEADER]
    return not secret or (len(signatures) == 1 and is_signed(signatures[0], body, secret))


def _challenge(settings: Settings, query: Mapping[str, str]) -> str | None:
    return challenge_of(query, _text(settings.cloud.verify_token))


async def _check(settings: Settings) -> list[tuple[Level, str]]:
    async with open_number(settings) as cloud:
        lines = [*await _number(cloud), *_secrets(settings), *await _templates(cloud, settings)]
        url = settings.web.webhook_url
        try:
            found = await cloud.webhook_address() if url else ""
        except GatewayError as error:
            return [*lines, ("warning", f"where the webhooks go is not known: {error}")]
    if found and found.rstrip("/") != url.rstrip("/"):
        lines.append(("error", "the number's webhooks do not go to web.webhook_url"))
    elif found:
        lines.append(("ok", f"webhook: {url}"))
    return lines


async def _number(cloud: CloudClient) -> list[tuple[Level, str]]:
    try:
        health = await cloud.health()
    except GatewayError as error:
        return [("error", str(error))]
    if health.condition != "ok":
        return [("error", f"the number is not usable: {health.detail}")]
    is_doubtful = "RESTRICTED" in health.detail or "FLAGGED" in health.detail
    lines: list[tuple[Level, str]] = [("ok", f"number: {health.channel} ({health.detail})")]
    if is_doubtful or "quality RED" in health.detail:
        lines.append(("warning", "people report or block the number: see WhatsApp Manager"))
    return lines


async def _templates(cloud: CloudClient, settings: Settings) -> list[tuple[Level, str]]:
    """Whether the template for answers that come too late can be sent."""
    name, _, language = settings.cloud.window_template.partition(":")
    if not settings.cloud.business_account_id:
        return [("warning", "cloud.business_account_id is not set: no templates are known")]
    try:
        known = await cloud.list_templates()
    except GatewayError as error:
        return [("error", f"the templates are not known: {error}")]
    lines: list[tuple[Level, str]] = [("ok", f"templates: {len(known)}")]
    if name:
        try:
            template = chosen(known, name, language=language, ours=settings.language)
            template_part(template, settings.cloud.window_template_parameters)
        except ValueError as error:
            lines.append(("error", f"cloud.window_template: {error}"))
    return lines


def _secrets(settings: Settings) -> list[tuple[Level, str]]:
    lines: list[tuple[Level, str]] = []
    if settings.cloud.app_secret is None:
        lines.append(("error", "cloud.app_secret is not set: anybody can post webhooks"))
    if settings.cloud.verify_token is None:
        lines.append(("warning", "cloud.verify_token is not set: Meta cannot add the webhook"))
    return lines


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


CLOUD = GatewayKind(
    name="cloud",
    parse_webhook=parse_webhook,
    numbers_in=numbers_of,
    id_of=lambda settings: settings.cloud.phone_number_id,
    open=open_number,
    file_server=_file_server,
    check=_check,
    check_seconds=lambda settings: settings.cloud.check_seconds,
    call_seconds=lambda settings: settings.cloud.timeout_seconds,
    is_genuine=_is_genuine,
    challenge=_challenge,
)
