"""What `recado check` looks at: everything that would keep the daemon from running well."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from daemon.composition.guidance import read_instructions
from daemon.composition.notifying import NOBODY_IS_TOLD, target_faults, tells_nobody
from daemon.errors import SettingsError, ToolError, ValidatorError
from daemon.settings import Settings, missing_keys, unpriced_models
from daemon.settings.sources import load_settings
from daemon.tools import builtin
from daemon.tools.toolbox import Toolbox, load_tools
from daemon.validation.builtin import in_order
from daemon.validation.loading import load_validators


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "warning", "error"]
    text: str


def offline_findings(
    config: Path | None, *, environ: Mapping[str, str], cwd: Path
) -> list[Finding]:
    """Check all that can be checked on this machine, without the network; stops at no error."""
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
        Finding("warning", f"budget.prices: {model} has no price; its use is not limited by cost")
        for model in unpriced_models(settings)
    ]
    findings += [
        Finding("warning", f"web.trusted_proxies: {network} lets every client say who it is")
        for network in settings.web.trusted_proxies
        if ip_network(network).prefixlen == 0
    ]
    findings += [_data_dir(settings.data_dir), _instructions(settings), _tools(settings)]
    findings += [_validators(settings), *_notifications(settings)]
    return findings


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
        tools = load_tools(settings.tools.modules, settings.tools.folder)
        Toolbox(
            [*builtin.ALL, *tools],
            disabled=settings.tools.disabled,
            longest_seconds=settings.tools.longest_seconds,
        )
    except ToolError as error:
        return Finding("error", str(error))
    names = ", ".join(tool.name for tool in tools) or "only the built-in ones"
    return Finding("ok", f"tools: {names}")


def _notifications(settings: Settings) -> list[Finding]:
    if tells_nobody(settings):
        return [Finding("warning", NOBODY_IS_TOLD)]
    faults = [Finding("error", fault) for fault in target_faults(settings)]
    count = len(settings.notify.urls)
    return faults or ([Finding("ok", f"notify.urls: {count} addresses")] if count else [])


def _validators(settings: Settings) -> Finding:
    own = settings.validators
    try:
        validators = in_order(load_validators(own.modules, own.folder), disabled=own.disabled)
    except ValidatorError as error:
        return Finding("error", str(error))
    return Finding("ok", f"validators: {', '.join(validator.name for validator in validators)}")
