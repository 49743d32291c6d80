"""What `recado check --online` asks of the outside: Whapi's channel, its webhooks, the models."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from random import SystemRandom

import trio

from daemon.assistant.models import model_findings
from daemon.checks import Finding
from daemon.composition import open_engine, secret_text
from daemon.errors import AssistantError, SettingsError, WhapiError, WhapiRejected
from daemon.model import JsonObject
from daemon.settings import Settings, model_names
from daemon.settings_sources import load_settings
from daemon.whapi.channel_settings import ours_among, reachable_from_outside, webhook_faults
from daemon.whapi.client import WhapiClient, open_whapi


def check_online(config: Path | None, *, environ: Mapping[str, str], cwd: Path) -> list[Finding]:
    """Check what only the network can tell; nothing if the configuration cannot be read."""
    try:
        settings = load_settings(config=config, environ=environ, cwd=cwd).settings
    except SettingsError:
        return []  # `offline_findings` says why
    return trio.run(partial(online_findings, settings, today=datetime.now(UTC).date()))


async def online_findings(settings: Settings, *, today: date) -> list[Finding]:
    """Ask Whapi and the model server; one finding for each thing looked at, or more."""
    findings: list[Finding] = []
    try:
        async with open_whapi(
            api_url=settings.whapi.api_url,
            token=secret_text(settings.whapi.token),
            timeout_seconds=settings.whapi.timeout_seconds,
            rng=SystemRandom(),
        ) as whapi:
            findings += await _channel(whapi)
            findings += await _webhooks(whapi, settings)
    except SettingsError as error:
        findings += [Finding("error", problem) for problem in error.problems]
    return findings + await _models(settings, today)


async def _channel(whapi: WhapiClient) -> list[Finding]:
    try:
        health = await whapi.health()
    except WhapiError as error:
        refused = error.status in {401, 403, 404}
        hint = ": whapi.token is wrong, or of another channel" if refused else ""
        return [Finding("error", f"{error}{hint}")]
    if not health.ready:
        what = {"STOP": "stopped", "STOPPED": "stopped", "QR": "not linked to a phone"}
        state = what.get(health.status, "not linked")
        text = f"the channel is {state}: its status is {health.status}, not AUTH"
        return [Finding("error", text)]
    return [Finding("ok", f"channel: {health.channel or 'linked'}, {health.status}")]


async def _webhooks(whapi: WhapiClient, settings: Settings) -> list[Finding]:
    try:
        found = await whapi.get_settings()
    except WhapiError as error:
        return [Finding("error", str(error))]
    secrets = [secret.get_secret_value() for secret in settings.web.webhook_secret]
    faults = webhook_faults(found, settings.web.webhook_url, secrets)
    findings = [Finding("error" if grave else "warning", text) for text, grave in faults]
    url = settings.web.webhook_url
    for entry in ours_among(found, url) if url else []:
        findings += await _reached(whapi, entry)
    return findings or [Finding("ok", f"webhook: {url}")]


async def _reached(whapi: WhapiClient, entry: JsonObject) -> list[Finding]:
    """Let Whapi call the webhook; nothing to say if that works."""
    if not reachable_from_outside(str(entry.get("url"))):
        return []  # which is a finding already
    try:
        if await whapi.test_webhook(entry):
            return []
    except WhapiRejected as error:
        return [Finding("warning", f"whether Whapi reaches the webhook is not known: {error}")]
    except WhapiError as error:
        return [Finding("error", str(error))]
    text = "Whapi does not reach the webhook: is the daemon running, and its address public?"
    return [Finding("error", text)]


async def _models(settings: Settings, today: date) -> list[Finding]:
    names = model_names(settings)
    try:
        async with open_engine(settings, SystemRandom()) as engine:
            listed = await engine.list_models()
    except (AssistantError, SettingsError) as error:
        return [Finding("error", f"models: {error}")]
    faults = model_findings(names, listed, today=today)
    if not faults:
        return [Finding("ok", f"models: {', '.join(names)}")]
    return [Finding("error" if urgent else "warning", text) for text, urgent in faults]
