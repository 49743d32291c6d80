"""The findings of `recado check`: everything that would keep the daemon from running."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_network
from pathlib import Path
from random import SystemRandom
from typing import Literal

import trio
from pydantic import SecretStr

from daemon.assistant.port import connection_to, model_findings
from daemon.conversation.config_loader import load_validators, read_instructions, toolbox_of
from daemon.conversation.knowledge.folder import faults_of, folders_of
from daemon.conversation.knowledge.vectors import vectors_fault
from daemon.conversation.mcp_servers import mcp_faults
from daemon.conversation.opening import open_engine, secret_text
from daemon.domain.validation.builtin_validators import in_order
from daemon.errors import (
    AssistantError,
    FilesUnavailable,
    MediaDelayed,
    MediaRefused,
    ModelRejected,
    ResponseGone,
    SettingsError,
    StoreError,
    ToolError,
    ValidatorError,
)
from daemon.files.opening import open_files
from daemon.gateway.kinds import gateway_of
from daemon.ledger.admin.connection import postgres_driver
from daemon.media.download import address_of, origin_of, resolve_host
from daemon.ops.notifier import NO_TARGETS, has_no_targets, target_faults
from daemon.settings import Settings, missing_keys, model_names, unpriced_models
from daemon.settings.numbers import numbers_of, with_own_address
from daemon.settings.sources import load_settings
from daemon.settings.webhooks import WebhookSettings
from daemon.tools import builtin_tools


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "warning", "error"]
    text: str


def offline_findings(
    config: Path | None, *, environ: Mapping[str, str], cwd: Path, documents: bool = True
) -> list[Finding]:
    """Check everything that needs no network; continues after errors.

    ``documents``: read those of the business too, which may take minutes.
    """
    try:
        loaded = load_settings(config=config, environ=environ, cwd=cwd)
    except SettingsError as error:
        return [Finding("error", problem) for problem in error.problems]
    settings = loaded.settings
    source = str(loaded.config_file) if loaded.config_file else "built-in defaults"
    findings = [Finding("ok", f"configuration: {source}")]
    findings += [Finding("warning", note) for note in loaded.notes]
    findings += [Finding("error", f"{key}: is not set") for key in missing_keys(settings)]
    findings += [
        Finding("warning", f"web.trusted_proxies: {network} lets every client say who it is")
        for network in settings.web.trusted_proxies
        if ip_network(network).prefixlen == 0
    ]
    findings.append(_data_dir(settings.data_dir))
    for name, number in numbers_of(settings).items():
        own = [_instructions(number), *_requirements(number), _tools(number), _validators(number)]
        findings += _named(settings, name, [*_prices(number), *own])
    findings += [Finding("error", fault) for fault in mcp_faults(settings)]
    findings += _documents(settings) if documents else []
    return findings + _webhooks(settings) + _notifications(settings) + _files(settings)


def _named(settings: Settings, name: str, found: list[Finding]) -> list[Finding]:
    """Findings about a number, which they name where there are several."""
    if not settings.numbers:
        return found
    return [Finding(one.level, f"{name}: {one.text}") for one in found]


def _prices(settings: Settings) -> list[Finding]:
    return [
        Finding("warning", f"budget.prices: {model} has no price; its use is not limited by cost")
        for model in unpriced_models(settings)
    ]


def _data_dir(path: Path) -> Finding:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding("error", f"data_dir: {existing} is not a folder that can be written to")
    return Finding("ok", f"data_dir: {path}")


def _instructions(settings: Settings) -> Finding:
    path = settings.assistant.instructions_file
    try:
        text = read_instructions(path)
    except SettingsError as error:
        return Finding("error", error.problems[0])
    if not text:
        return Finding("warning", f"assistant.instructions_file: {path} is empty")
    return Finding("ok", f"instructions: {path}, {len(text)} characters")


def _tools(settings: Settings) -> Finding:
    try:
        toolbox = toolbox_of(settings)
    except ToolError as error:
        return Finding("error", str(error))
    own = [one.name for one in toolbox.all_tools if one.origin != builtin_tools.__name__]
    names = ", ".join(own) or "only the built-in ones"
    return Finding("ok", f"tools: {names}")


def _documents(settings: Settings) -> list[Finding]:
    """Every document is read once; one that cannot be read is no reason not to run."""
    findings = []
    for folder, number in folders_of(settings).items():
        if fault := vectors_fault(number):
            findings.append(Finding("error", fault))
        try:
            count, faults = trio.run(partial(faults_of, Path(folder), number.knowledge))
        except OSError as error:
            findings.append(Finding("error", f"knowledge.folder: {folder}: {error.strerror}"))
            continue
        findings += [Finding("warning", f"knowledge.folder: {path}: {why}") for path, why in faults]
        findings.append(Finding("ok", f"knowledge.folder: {folder}, {count} documents"))
    return findings


def _webhooks(settings: Settings) -> list[Finding]:
    """The endpoints of outgoing webhooks, whose addresses may hold secrets and are not shown."""
    return [
        Finding("ok", f"webhooks: {one.name}, {', '.join(one.events) or 'all events'}")
        for one in settings.webhooks
    ]


def _requirements(settings: Settings) -> list[Finding]:
    """Packages of tools that are named and not installed."""
    path = settings.tools.requirements
    if path is None:
        return []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return [Finding("error", f"tools.requirements: cannot read {path}")]
    plain = [line.strip() for line in lines if ";" not in line]  # else a condition may exclude it
    names = [found[0] for line in plain if (found := PACKAGE.match(line))]
    missing = [name for name in names if not is_installed(name)]
    return [
        Finding("error", f"tools.requirements: {name} is not installed: run make install")
        for name in missing
    ] or [Finding("ok", f"tools.requirements: {len(names)} packages")]


PACKAGE = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]*+(?=\s*(?:$|[\[(<>=!~@\\#-]))")
"""The name of a package, at the beginning of a line (PEP 508); a line that is an address or a path
has none."""


def is_installed(name: str) -> bool:
    """Whether a package is installed here."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _notifications(settings: Settings) -> list[Finding]:
    if any(map(has_no_targets, numbers_of(settings).values())):
        return [Finding("warning", NO_TARGETS)]
    faults = [Finding("error", fault) for fault in target_faults(settings)]
    count = len(settings.notify.urls)
    return faults or ([Finding("ok", f"notify.urls: {count} addresses")] if count else [])


def _files(settings: Settings) -> list[Finding]:
    try:
        open_files(settings)
    except SettingsError as error:
        return [Finding("error", error.problems[0])]
    return []


def _validators(settings: Settings) -> Finding:
    own = settings.validators
    try:
        validators = in_order(load_validators(own.modules, own.folder), disabled=own.disabled)
    except ValidatorError as error:
        return Finding("error", str(error))
    return Finding("ok", f"validators: {', '.join(validator.name for validator in validators)}")


# -- online: the number, its webhooks, the models ------------------------------------------------


LIST_SECONDS = 10.0
"""For the connection to a voice server, and for the address of an endpoint."""


def check_online(config: Path | None, *, environ: Mapping[str, str], cwd: Path) -> list[Finding]:
    """Check what needs the network; nothing if the configuration cannot be read."""
    try:
        settings = load_settings(config=config, environ=environ, cwd=cwd).settings
    except SettingsError:
        return []  # `offline_findings` says why
    return trio.run(partial(online_findings, settings, today=datetime.now(UTC).date()))


async def online_findings(settings: Settings, *, today: date) -> list[Finding]:
    """Ask the gateway and the model servers; at least one finding for each."""
    findings = [await _endpoint(one) for one in settings.webhooks]
    for name, number in numbers_of(settings).items():
        found = await _number(with_own_address(settings, name))
        found += await _models(number, today)
        for server in _voice_servers(number):
            found.append(await _voice_server(server, today))
        findings += _named(settings, name, found)
    findings += await trio.to_thread.run_sync(_clock, settings, time.time)
    return findings + await _file_store(settings)


def _clock(settings: Settings, now: Callable[[], float]) -> list[Finding]:
    """Whether this machine's clock is that of the database, which other nodes go by."""
    if settings.store.url is None:
        return []
    try:
        ahead = postgres_driver().clock_ahead(settings.store.url.get_secret_value(), now)
    except StoreError as error:
        return [Finding("error", f"store.url: {error}")]
    if ahead:
        which = "ahead of" if ahead > 0 else "behind"
        text = f"store.url: this machine's clock is {abs(ahead):.0f} s {which} the database's"
        return [Finding("warning", text)]
    return [Finding("ok", "store.url: this machine's clock is in step with the database's")]


async def _file_store(settings: Settings) -> list[Finding]:
    """Whether the object store takes, gives and deletes a file."""
    if not settings.files.url:
        return []
    try:
        notes = await open_files(settings).check()
    except FilesUnavailable as error:
        return [Finding("error", f"files.url: {error}")]
    except SettingsError:
        return []  # reported by `offline_findings`
    notes = [f"files.url: the bucket {note}" for note in notes]
    return [Finding("warning", note) for note in notes] or [
        Finding("ok", "files.url: a file was written, read and deleted")
    ]


async def _endpoint(endpoint: WebhookSettings) -> Finding:
    """Whether an endpoint has an address that may be used; nothing is sent there."""
    try:
        with trio.fail_after(LIST_SECONDS):
            await address_of(origin_of(endpoint.url), resolve_host, any_address=endpoint.private)
    except trio.TooSlowError:
        return Finding("warning", f"webhooks: {endpoint.name}: its host was not found in time")
    except MediaDelayed as error:
        return Finding("warning", f"webhooks: {endpoint.name}: {error}")
    except MediaRefused as error:
        return Finding("error", f"webhooks: {endpoint.name}: {error}; private = true allows it")
    return Finding("ok", f"webhooks: {endpoint.name} has an address that may be used")


async def _number(settings: Settings) -> list[Finding]:
    try:
        return [Finding(*found) for found in await gateway_of(settings).check(settings)]
    except SettingsError as error:
        return [Finding("error", problem) for problem in error.problems]


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


@dataclass(frozen=True, slots=True)
class _VoiceServer:
    section: str
    """The prefix of its settings, by which it is named."""
    model: str
    base_url: str
    api_key: SecretStr | None


def _voice_servers(settings: Settings) -> Iterator[_VoiceServer]:
    voice = settings.voice
    if voice.transcription_model and voice.transcription_base_url:
        yield _VoiceServer(
            "voice.transcription",
            voice.transcription_model,
            voice.transcription_base_url,
            voice.transcription_api_key,
        )
    if voice.speech_model and voice.reply_with_voice and voice.speech_base_url:
        yield _VoiceServer(
            "voice.speech", voice.speech_model, voice.speech_base_url, voice.speech_api_key
        )


async def _voice_server(server: _VoiceServer, today: date) -> Finding:
    """Whether a server answers, accepts the key and has the model; many list no models."""
    key = secret_text(server.api_key)
    connection = connection_to(base_url=server.base_url, api_key=key, idle_seconds=LIST_SECONDS)
    try:
        listed = await connection.list_models()
    except (ModelRejected, ResponseGone) as error:
        # It answers, but has no list of models.
        text = (
            f"{server.section}_base_url: it lists no models, {server.model} is not tried: {error}"
        )
        return Finding("warning", text)
    except AssistantError as error:
        return Finding("error", f"{server.section}_base_url: {error}")
    finally:
        await connection.aclose()
    for fault, urgent in model_findings([server.model], listed, today=today):
        return Finding("error" if urgent else "warning", f"{server.section}_model: {fault}")
    return Finding("ok", f"{server.section}_model: {server.model}")
