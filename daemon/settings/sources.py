"""Reads the configuration from its sources and names the source of each fault.

From the weakest to the strongest: built-in defaults, the TOML file, environment variables, files
in systemd's credentials directory. Only the strongest value of a key is checked; unknown keys are
faults in every source. The environment is a parameter, so nothing here depends on the process.
Called before the event loop runs: reading a few small files may block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daemon.errors import SettingsError
from daemon.settings import (
    Settings,
    budget_faults,
    endpoint_faults,
    open_routes,
    production_faults,
    with_tables,
)
from daemon.settings.numbers import PREFIX, setting_of, split_key
from daemon.settings.readers import (
    FIELDS,
    TABLES,
    GivenValue,
    environment_name,
    fault_of,
    merged,
    read_credentials,
    read_environment,
    read_file,
    read_state_directory,
    shown,
    shown_path,
)
from daemon.settings.rules import rule_of

_SECRET_KEYS = tuple(key for key, field in FIELDS.items() if rule_of(field).secret)


@dataclass(frozen=True)
class Loaded:
    """A valid configuration, and what the operator should know about it."""

    settings: Settings
    config_file: Path | None
    """The TOML file that was read, if any."""
    notes: tuple[str, ...]
    """One line each, shown at the start: no faults, but worth knowing."""
    changed: Mapping[str, str]
    """The settings that differ from their defaults, by key, as they may be shown; no secrets."""
    secrets: Mapping[str, bool]
    """Whether each secret is set, by key."""


def load_settings(*, config: Path | None, environ: Mapping[str, str], cwd: Path) -> Loaded:
    """Read and check the whole configuration.

    ``config`` is the file named on the command line. Relative paths, also those written in the
    file, are relative to ``cwd``, the absolute working directory. Raises SettingsError with one
    line for each problem found, not only the first.
    """
    problems: list[str] = []
    notes: list[str] = []
    file, file_values = read_file(config, environ, cwd, problems)
    given = merged(
        read_state_directory(environ),
        file_values,
        read_environment(environ, problems, notes),
        read_credentials(environ, problems),
    )
    shared = {key: entry for key, entry in given.items() if not key.startswith(PREFIX)}
    as_written = _check(shared, problems)
    numbers = _read_numbers(given, problems)
    as_written = with_tables(as_written, {}, numbers=numbers)
    resolved = {name: _resolve_paths(each, cwd) for name, each in numbers.items()}
    settings = with_tables(_resolve_paths(as_written, cwd), {}, numbers=resolved)
    faults = production_faults(settings) | budget_faults(settings) | endpoint_faults(settings)
    for key, fault in faults.items():
        # A key whose value was refused above is not missing as well.
        if not any(line.startswith(f"{key}:") for line in problems):
            problems.append(f"{key}: {fault} ({_origin_or_place(key, given)})")
    notes += open_routes(settings)
    _look_for_instructions(settings, given, cwd, problems, notes)
    if problems:
        raise SettingsError(problems)
    return Loaded(
        settings=settings,
        config_file=file,
        notes=tuple(notes),
        changed=_changed(as_written),
        secrets=_secrets(as_written),
    )


def _secrets(settings: Settings) -> dict[str, bool]:
    """Name the secrets, and whether each is set; of numbers only those of their own."""
    shared = {key: bool(_value(settings, key)) for key in _SECRET_KEYS}
    own = {
        f"{PREFIX}{name}.{key}": bool(value)
        for name, number in settings.numbers.items()
        for key in _SECRET_KEYS
        if (value := _value(number, key)) != _value(settings, key)
    }
    return shared | own


def _look_for_instructions(
    settings: Settings,
    given: dict[str, GivenValue],
    cwd: Path,
    problems: list[str],
    notes: list[str],
) -> None:
    """Find out whether the model's instructions are there, for each number."""
    places = {f"{PREFIX}{name}.instructions_file": each for name, each in settings.numbers.items()}
    for key, each in (places or {"assistant.instructions_file": settings}).items():
        file = each.assistant.instructions_file
        if file.is_file():
            continue
        line = f"{key}: no file {shown_path(file, cwd)}"
        written = given.get(key) or given.get("assistant.instructions_file")
        if written:
            problems.append(f"{line} ({written.origin})")
        else:
            notes.append(f"{line}: the model runs without instructions")


def _read_numbers(given: dict[str, GivenValue], problems: list[str]) -> dict[str, Settings]:
    """Put together the settings of each number of ``[numbers]``: the shared ones, and its own."""
    own: dict[str, dict[str, GivenValue]] = {}
    for key, entry in given.items():
        if key.startswith(PREFIX):
            name, inner = split_key(key)
            own.setdefault(name, {})[inner] = entry._replace(written=key)
    if not own:
        return {}
    shared = {key: entry for key, entry in given.items() if not key.startswith(PREFIX)}
    problems += [
        f"{key}: cannot stand beside [numbers]; write it as {PREFIX}<name>.{key.partition('.')[2]}"
        f" ({shared[key].origin})"
        for key in shared
        if key.startswith("whapi.")
    ]
    # Faults of the shared settings were reported.
    sound = {key: entry for key, entry in shared.items() if _is_sound(key, entry)}
    numbers = {}
    for name, entries in own.items():
        gateway = entries["gateway"].value if "gateway" in entries else "whapi"
        settings = {setting_of(inner, str(gateway)): entry for inner, entry in entries.items()}
        numbers[name] = _check(sound | settings, problems)
    problems += _ids_of_two(own)
    return numbers


def _ids_of_two(own: dict[str, dict[str, GivenValue]]) -> list[str]:
    """Complain about a gateway's id that several numbers have: a call would reach either."""
    owners: dict[object, str] = {}
    found = []
    for name, entries in own.items():
        for key in ("channel_id", "whapi.channel_id"):
            entry = entries.get(key)
            if entry and entry.value and owners.setdefault(entry.value, name) != name:
                found.append(
                    f"{entry.written}: is that of {PREFIX}{owners[entry.value]} ({entry.origin})"
                )
    return found


def _is_sound(key: str, entry: GivenValue) -> bool:
    faults: list[str] = []
    _check({key: entry}, faults)
    return not faults


def _changed(settings: Settings) -> dict[str, str]:
    """The settings that differ from their defaults, with the values that may be shown."""
    shared = _differing(settings, Settings(), "")
    for name, number in settings.numbers.items():
        shared |= _differing(number, settings, f"{PREFIX}{name}.")
    return shared


def _differing(settings: Settings, others: Settings, place: str) -> dict[str, str]:
    values = {key: _value(settings, key) for key in FIELDS if key not in _SECRET_KEYS}
    return {
        f"{place}{key}": shown(value)
        for key, value in values.items()
        if value != _value(others, key)
    }


def _value(settings: Settings, key: str) -> object:
    table, _, name = key.rpartition(".")
    return getattr(getattr(settings, table) if table else settings, name)


def _check(given: dict[str, GivenValue], problems: list[str]) -> Settings:
    """Build the settings; a faulty table or key is reported and left at its default."""
    values: dict[str, Any] = {}
    for key, (value, _, _) in given.items():
        table, _, inner = key.rpartition(".")
        if table:
            values.setdefault(table, {})[inner] = value
        else:
            values[key] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faulty = dict.fromkeys(
            _key_at(found["loc"]) for found in error.errors(include_input=False, include_url=False)
        )
    problems += [fault_of(key, given[key]) for key in faulty]
    return _check({key: entry for key, entry in given.items() if key not in faulty}, problems)


def _key_at(location: tuple[int | str, ...]) -> str:
    """Find the key of a pydantic location, which may lead into lists and unions."""
    first = str(location[0])
    return f"{first}.{location[1]}" if first in TABLES else first


def _origin_or_place(key: str, given: dict[str, GivenValue]) -> str:
    """Name the source of a value, or where it can be set."""
    if key in given:
        return given[key].origin
    return f"in the file, as {environment_name(key)} or as a systemd credential"


def _resolve_paths(settings: Settings, cwd: Path) -> Settings:
    tables = {
        table: {key: cwd / path for key in keys if (path := getattr(getattr(settings, table), key))}
        for table, keys in _PATHS.items()
    }
    return with_tables(settings, tables, data_dir=cwd / settings.data_dir)


_PATHS = {
    "assistant": ("instructions_file",),
    "tools": ("folder", "requirements"),
    "validators": ("folder",),
    "knowledge": ("folder",),
}
"""Paths that are relative to the working directory, by their tables; all but the first may be
missing."""
