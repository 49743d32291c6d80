"""Whapi as one of the gateways: how a number of it is opened, and checked.

Not used while messages come and go.
"""

import hmac
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from random import Random, SystemRandom
from time import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from daemon.domain.messages import JsonObject
from daemon.errors import GatewayError, GatewayRefused
from daemon.gateway.port import FileServer, GatewayKind, Level, Observe
from daemon.gateway.whapi.client import WhapiClient, open_whapi
from daemon.gateway.whapi.payloads.parser import numbers_in, parse_webhook
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
    lines = webhook_faults(found, url, secrets)
    for entry in webhooks_to(found, url) if url else []:
        lines += await _reached(whapi, entry)
    return lines or [("ok", f"webhook: {url}")]


async def _reached(whapi: WhapiClient, entry: JsonObject) -> list[tuple[Level, str]]:
    """Let Whapi call the webhook; no finding if that works."""
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
    numbers_in=numbers_in,
    id_of=lambda settings: settings.whapi.channel_id,
    open=open_number,
    file_server=_file_server,
    check=_check,
    check_seconds=lambda settings: settings.whapi.check_seconds,
    call_seconds=lambda settings: settings.whapi.timeout_seconds,
)


# -- the channel's settings: what is wrong with them, and the right ones ---------------------------
#
# Shapes as in Whapi's OpenAPI document, version 1.8.7: GET and PATCH /settings.

NEEDED_EVENTS = ("messages.post", "messages.patch", "messages.delete", "presences.post")
"""Without these Recado misses messages, edits, deletions, or contacts' typing."""

EVENTS = (
    *NEEDED_EVENTS,
    "messages.put",
    "statuses.post",
    "chats.patch",
    "channel.post",
    "users.post",
    "users.delete",
    "channel.patch",
    "contacts.patch",
    "labels.post",
    "labels.delete",
)
"""The events that ``recado webhook set`` asks for."""

USEFUL_EVENTS = (
    "statuses.post",
    "chats.patch",
    "channel.post",
    "channel.patch",
    "users.post",
    "users.delete",
)
"""Without these Recado works, but learns late or never that a message was not delivered, that
labels have changed, or that the channel is in trouble."""

ANSWERED_MEDIA = ("image", "voice", "audio", "video", "document")
"""Media whose files the model gets, or a line about them."""


def webhooks(settings: Mapping[str, Any]) -> list[JsonObject]:
    """Return the channel's webhooks, without entries that are none."""
    return [entry for entry in settings.get("webhooks") or () if isinstance(entry, dict)]


def events_of(webhook: Mapping[str, Any]) -> list[str]:
    """Return a webhook's events as ``messages.post``; the method is named in either of two ways."""
    return [
        f"{event.get('type')}.{event.get('method') or event.get('event')}"
        for event in webhook.get("events") or ()
        if isinstance(event, dict)
    ]


def same_address(one: str, other: str) -> bool:
    """Tell whether two webhook addresses lead to the same place."""
    return _plain(one) == _plain(other)


def reachable_from_outside(url: str) -> bool:
    """Tell whether an address looks as if Whapi could reach it."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))


def carries(webhook: Mapping[str, Any], secrets: Iterable[str]) -> bool:
    """Tell whether a webhook's headers hold one of the secrets as a bearer token."""
    headers = webhook.get("headers") or {}
    values = [str(v) for k, v in headers.items() if str(k).lower() == "authorization"]
    return any(
        hmac.compare_digest(value.encode(), f"Bearer {secret}".encode())
        for value in values
        for secret in secrets
    )


def with_webhook(
    settings: Mapping[str, Any], url: str, *, mode: str, secret: str
) -> tuple[list[JsonObject], bool]:
    """Return all webhooks with ours set, and whether it was there before.

    A webhook with this address is changed and keeps its other fields and headers; the others stay
    as they are.
    """
    ours: JsonObject = {
        "url": url,
        "mode": mode,
        "events": [dict(zip(("type", "method"), e.split("."), strict=True)) for e in EVENTS],
    }
    found = False
    entries: list[JsonObject] = []
    for entry in webhooks(settings):
        if not same_address(str(entry.get("url")), url):
            entries.append(entry)
        elif not found:
            found = True
            entries.append({**entry, **ours, "headers": _headers(entry.get("headers"), secret)})
    if not found:
        entries.append({**ours, "headers": _headers(None, secret)})
    return entries, found


def webhook_faults(
    settings: Mapping[str, Any], url: str, secrets: Sequence[str]
) -> list[tuple[Level, str]]:
    """Return the faults of the channel's settings.

    `url` is where Recado is reached from outside, empty if that is not configured.
    """
    entries = webhooks(settings)
    ours = [e for e in entries if not url or same_address(str(e.get("url")), url)]
    faults: list[tuple[Level, str]] = []
    if not entries:
        faults.append(("error", "the channel has no webhook: recado webhook set"))
    elif not ours:
        faults.append(("error", "no webhook of the channel goes to web.webhook_url"))
    if not url and entries:
        text = "web.webhook_url is not set, so the webhooks' addresses are not checked"
        faults.append(("warning", text))
    for entry in ours:
        if not reachable_from_outside(str(entry.get("url"))):
            faults.append(("warning", "only this network reaches the webhook's address"))
        missing = [event for event in NEEDED_EVENTS if event not in events_of(entry)]
        if missing:
            faults.append(("error", f"the webhook does not get {', '.join(missing)}"))
        missed = [event for event in USEFUL_EVENTS if event not in events_of(entry)]
        if missed:
            faults.append(("warning", f"the webhook does not get {', '.join(missed)}"))
        if secrets and not carries(entry, secrets):
            text = "the webhook's Authorization header is not web.webhook_secret"
            faults.append(("error", text))
    return [*faults, *_media_faults(settings)]


def webhooks_to(settings: Mapping[str, Any], url: str) -> list[JsonObject]:
    """Return the channel's webhooks that go to `url`."""
    return [e for e in webhooks(settings) if same_address(str(e.get("url")), url)]


def _media_faults(settings: Mapping[str, Any]) -> list[tuple[Level, str]]:
    """Return the settings of the channel that keep something from Recado."""
    texts = []
    media = settings.get("media")
    fetched = (media.get("auto_download") if isinstance(media, dict) else None) or ()
    missing = [medium for medium in ANSWERED_MEDIA if medium not in fetched]
    if not fetched:
        texts.append("media.auto_download is off: voice notes and pictures have no link")
    elif missing:
        texts.append(f"media.auto_download leaves out {', '.join(missing)}")
    if settings.get("offline_mode") is True:
        texts.append("offline_mode is on: WhatsApp does not report when contacts type")
    return [("warning", text) for text in texts]


def _headers(before: object, secret: str) -> JsonObject:
    kept = before if isinstance(before, dict) else {}
    if not secret:
        return dict(kept)
    others = {k: v for k, v in kept.items() if str(k).lower() != "authorization"}
    return {**others, "Authorization": f"Bearer {secret}"}


def _plain(url: str) -> str:
    parts = urlsplit(url.strip())
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, ""))
