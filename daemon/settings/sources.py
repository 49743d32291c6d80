"""Reads the configuration from its sources and names the source of each fault.

From the weakest to the strongest: built-in defaults, the TOML file, environment variables, files
in systemd's credentials directory. Only the strongest value of a key is checked; unknown keys are
faults in every source. The environment is a parameter, so nothing here depends on the process.
Called before the event loop runs: reading a few small files may block.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from daemon.errors import SettingsError
from daemon.settings import (
    Settings,
    budget_faults,
    endpoint_faults,
    fields_by_key,
    open_routes,
    production_faults,
)
from daemon.settings.numbers import NAME, PREFIX, setting_of, split_key, split_variable
from daemon.settings.rules import rule_of

PLAIN_NAMES = {
    "PORT": "web.port",
    "HOST": "web.host",
    "OPENAI_API_KEY": "assistant.api_key",
    "OPENAI_BASE_URL": "assistant.base_url",
    "WHAPI_TOKEN": "whapi.token",
    "WHAPI_API_URL": "whapi.api_url",
    "WEBHOOK_URL": "web.webhook_url",
}
"""Environment variables that platforms and people already use, and the keys they set."""

SYSTEM_FILE = Path("/etc/recado/recado.toml")
"""Read if there is no ``config/recado.toml`` in the working directory."""

_FIELDS = fields_by_key()
_TABLES = frozenset(key.partition(".")[0] for key in _FIELDS if "." in key)


def environment_name(key: str) -> str:
    """Name the environment variable of a key: ``RECADO_WEB__PORT`` for ``web.port``."""
    return "RECADO_" + key.replace(".", "__").upper()


_SECRET_KEYS = tuple(key for key, field in _FIELDS.items() if rule_of(field).secret)

_ENVIRONMENT_KEYS = {environment_name(key): key for key in _FIELDS}

TOOL_SECRETS = "tools.secrets"
_SECRET_VARIABLE = environment_name(TOOL_SECRETS) + "__"
"""Begins the variables of single secrets of tools; their names follow in capitals."""

_NOT_SETTINGS = frozenset({"RECADO_CONFIG", "RECADO_SUPERVISED", "RECADO_TOKEN"})
"""Names of the file and of the presence of a supervisor; they set no key."""


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


class _Given(NamedTuple):
    value: Any
    origin: str
    written: str = ""
    """The key as it was written, if that is another than the setting's: a number's."""


def load_settings(*, config: Path | None, environ: Mapping[str, str], cwd: Path) -> Loaded:
    """Read and check the whole configuration.

    ``config`` is the file named on the command line. Relative paths, also those written in the
    file, are relative to ``cwd``, the absolute working directory. Raises SettingsError with one
    line for each problem found, not only the first.
    """
    problems: list[str] = []
    notes: list[str] = []
    file, file_values = _read_file(config, environ, cwd, problems)
    given = _merged(
        _from_state_directory(environ),
        file_values,
        _from_environment(environ, problems, notes),
        _from_credentials(environ, problems),
    )
    shared = {key: entry for key, entry in given.items() if not key.startswith(PREFIX)}
    as_written = _check(shared, problems)
    numbers = _read_numbers(given, problems)
    as_written = as_written.model_copy(update={"numbers": numbers})
    settings = _resolve_paths(as_written, cwd).model_copy(
        update={"numbers": {name: _resolve_paths(each, cwd) for name, each in numbers.items()}}
    )
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


def _merged(*sources: dict[str, _Given]) -> dict[str, _Given]:
    """The strongest value of each key; of the secrets of tools, that of each name."""
    merged: dict[str, _Given] = {}
    for source in sources:
        before = merged.get(TOOL_SECRETS)
        merged |= source
        new = source.get(TOOL_SECRETS)
        if before and new and isinstance(before.value, dict) and isinstance(new.value, dict):
            merged[TOOL_SECRETS] = new._replace(value=before.value | new.value)
    return merged


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
    given: dict[str, _Given],
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
        line = f"{key}: no file {_shown_path(file, cwd)}"
        written = given.get(key) or given.get("assistant.instructions_file")
        if written:
            problems.append(f"{line} ({written.origin})")
        else:
            notes.append(f"{line}: the model runs without instructions")


def _read_numbers(given: dict[str, _Given], problems: list[str]) -> dict[str, Settings]:
    """Put together the settings of each number of ``[numbers]``: the shared ones, and its own."""
    own: dict[str, dict[str, _Given]] = {}
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


def _ids_of_two(own: dict[str, dict[str, _Given]]) -> list[str]:
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


def _is_sound(key: str, entry: _Given) -> bool:
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
    values = {key: _value(settings, key) for key in _FIELDS if key not in _SECRET_KEYS}
    return {
        f"{place}{key}": _shown(value)
        for key, value in values.items()
        if value != _value(others, key)
    }


def _value(settings: Settings, key: str) -> object:
    table, _, name = key.rpartition(".")
    return getattr(getattr(settings, table) if table else settings, name)


def _read_file(
    config: Path | None, environ: Mapping[str, str], cwd: Path, problems: list[str]
) -> tuple[Path | None, dict[str, _Given]]:
    """Find the TOML file, read it and flatten it to full keys."""
    named_by, file = "", None
    if config is not None:
        named_by, file = "--config", cwd / config
    elif environ.get("RECADO_CONFIG"):
        named_by, file = "RECADO_CONFIG", cwd / environ["RECADO_CONFIG"]
    else:
        places = (cwd / "config" / "recado.toml", SYSTEM_FILE)
        file = next((place for place in places if place.exists()), None)
    if file is None:
        return None, {}
    shown = _shown_path(file, cwd)
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"{shown}: no such file (named by {named_by})")
    except OSError as error:
        problems.append(f"{shown}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{shown}: not UTF-8 text (byte {error.start})")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{shown}: not valid TOML: {error}")
    except RecursionError:
        problems.append(f"{shown}: not valid TOML: nested too deeply")
    else:
        return file, _flatten(tables, f"from {shown}", problems)
    return file, {}


def _flatten(tables: dict[str, Any], origin: str, problems: list[str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for name, value in tables.items():
        if name == "numbers":
            given |= _flatten_numbers(value, origin, problems)
            continue
        if name in _TABLES:
            if not isinstance(value, dict):
                problems.append(f"{name}: must be a table of keys ({origin})")
                continue
            entries = {f"{name}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            entries = {name: value}
        for key, entry in entries.items():
            if key in _FIELDS:
                given[key] = _Given(entry, origin)
            else:
                problems.append(f"{key}: unknown key{_key_suggestion(key)} ({origin})")
    return given


def _flatten_numbers(tables: object, origin: str, problems: list[str]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    if not isinstance(tables, dict):
        problems.append(f"numbers: must hold a table a number ({origin})")
        return given
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            line = "a number's name has small letters without accents, digits and underscores"
            problems.append(f"numbers.{name}: {line} ({origin})")
        elif not isinstance(table, dict) or not table:
            problems.append(f"numbers.{name}: must be a table of keys ({origin})")
        else:
            for key, value in table.items():
                is_table = key in _TABLES and isinstance(value, dict)
                inner = {f"{key}.{k}": v for k, v in value.items()} if is_table else {key: value}
                for inner_key, entry in inner.items():
                    given |= _number_entry(name, inner_key, _Given(entry, origin), problems)
    return given


def _number_entry(name: str, inner: str, entry: _Given, problems: list[str]) -> dict[str, _Given]:
    key = f"{PREFIX}{name}.{inner}"
    if setting_of(inner):
        return {key: entry}
    if inner in _FIELDS or inner in _TABLES:
        problems.append(f"{key}: belongs to the whole process, not to a number ({entry.origin})")
    else:
        problems.append(f"{key}: unknown key{_key_suggestion(inner)} ({entry.origin})")
    return {}


def _from_state_directory(environ: Mapping[str, str]) -> dict[str, _Given]:
    # systemd separates several directories with colons; the unit has one (systemd.exec(5)).
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return {}
    return {"data_dir": _Given(folder, "from the environment variable STATE_DIRECTORY")}


def _from_environment(
    environ: Mapping[str, str], problems: list[str], notes: list[str]
) -> dict[str, _Given]:
    texts: dict[str, tuple[str, str]] = {}
    secrets: dict[str, str] = {}
    for name, key in (PLAIN_NAMES | _ENVIRONMENT_KEYS).items():
        text = environ.get(name, "").strip()
        if not text:
            continue
        if key in texts and texts[key][1] != text:
            notes.append(f"{key}: {name} wins over {texts[key][0]}")
        texts[key] = (name, text)
    for name in environ:
        if not name.startswith("RECADO_") or name in _ENVIRONMENT_KEYS or name in _NOT_SETTINGS:
            continue
        if name.startswith(_SECRET_VARIABLE):
            if text := environ[name].strip():
                secrets[name.removeprefix(_SECRET_VARIABLE).lower()] = text
            continue
        number = split_variable(name) if name.startswith("RECADO_NUMBERS__") else None
        if number and environ[name].strip():
            texts[f"{PREFIX}{number[0]}.{number[1]}"] = (name, environ[name].strip())
        elif not number:
            suggestion = _suggestion(name, _ENVIRONMENT_KEYS)
            problems.append(f"{name}: unknown environment variable{suggestion}")
    given = _read_texts(
        {
            key: _Given(text, f"from the environment variable {name}")
            for key, (name, text) in texts.items()
        },
        problems,
    )
    return _merged(given, _of_tools(secrets, f"from the environment variables {_SECRET_VARIABLE}…"))


def _of_tools(secrets: dict[str, str], origin: str) -> dict[str, _Given]:
    return {TOOL_SECRETS: _Given(secrets, origin)} if secrets else {}


def _from_credentials(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Given]:
    """Read the credentials directory: files named like a key or a plain variable."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    texts: dict[str, _Given] = {}
    try:
        present = {path.name: path for path in Path(folder).iterdir()}
    except OSError as error:
        problems.append(f"CREDENTIALS_DIRECTORY: {folder} cannot be read: {error.strerror}")
        return {}
    of_numbers = [
        name for name in present if name.startswith(PREFIX) and NAME.fullmatch(split_key(name)[0])
    ]
    keys = [*_FIELDS, *(name for name in of_numbers if setting_of(split_key(name)[1]))]
    of_tools = [name for name in present if name.startswith(f"{TOOL_SECRETS}.")]
    secrets: dict[str, str] = {}
    for name, key in (PLAIN_NAMES | {key: key for key in (*keys, *of_tools)}).items():
        if name not in present:
            continue
        try:
            text = present[name].read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            problems.append(f"{key}: cannot be read: {reason} (from the credential {name})")
            continue
        if text and name in of_tools:
            secrets[name.removeprefix(f"{TOOL_SECRETS}.")] = text
        elif text:
            texts[key] = _Given(text, f"from the credential {name}")
    of_files = _of_tools(secrets, f"from the credentials {TOOL_SECRETS}.…")
    return _merged(_read_texts(texts, problems), of_files)


def _read_texts(texts: dict[str, _Given], problems: list[str]) -> dict[str, _Given]:
    """Turn texts into the values that a TOML file would hold."""
    given: dict[str, _Given] = {}
    for key, (text, origin, _) in texts.items():
        try:
            given[key] = _Given(rule_of(_field(key)).read(text), origin)
        except ValueError:
            problems.append(_fault(key, _Given(text, origin)))
    return given


def _check(given: dict[str, _Given], problems: list[str]) -> Settings:
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
    problems += [_fault(key, given[key]) for key in faulty]
    return _check({key: entry for key, entry in given.items() if key not in faulty}, problems)


def _field(key: str) -> FieldInfo:
    """The field of a setting, also of a number's."""
    return _FIELDS[setting_of(split_key(key)[1]) if key.startswith(PREFIX) else key]


def _key_at(location: tuple[int | str, ...]) -> str:
    """Find the key of a pydantic location, which may lead into lists and unions."""
    first = str(location[0])
    return f"{first}.{location[1]}" if first in _TABLES else first


def _fault(key: str, given: _Given) -> str:
    rule = rule_of(_field(key))
    but = "" if rule.secret else f", not {_shown(given.value)}"
    return f"{given.written or key}: must be {rule.text}{but} ({given.origin})"


def _origin_or_place(key: str, given: dict[str, _Given]) -> str:
    """Name the source of a value, or where it can be set."""
    if key in given:
        return given[key].origin
    return f"in the file, as {environment_name(key)} or as a systemd credential"


def _shown(value: object) -> str:
    """Show a value on one line, shortened, without a password that a URL may hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple | frozenset):
        return "a table" if isinstance(value, dict) else "a list"
    text = str(value)
    if "@" in text:
        return "a text with @ in it"
    text = text if len(text) <= 60 else text[:60] + "…"
    return repr(text) if isinstance(value, str) else text


def _shown_path(path: Path, cwd: Path) -> str:
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _key_suggestion(key: str) -> str:
    last = key.rpartition(".")[2]
    same_name = [known for known in _FIELDS if known.rpartition(".")[2] == last]
    return _suggestion(key, same_name if len(same_name) == 1 else [*_FIELDS, *_TABLES])


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _resolve_paths(settings: Settings, cwd: Path) -> Settings:
    instructions_file = cwd / settings.assistant.instructions_file
    assistant = settings.assistant.model_copy(update={"instructions_file": instructions_file})
    update: dict[str, object] = {"data_dir": cwd / settings.data_dir, "assistant": assistant}
    for name, keys in _FOLDERS.items():
        table = getattr(settings, name)
        paths = {key: cwd / path for key in keys if (path := getattr(table, key))}
        update[name] = table.model_copy(update=paths)
    return settings.model_copy(update=update)


_FOLDERS = {
    "tools": ("folder", "requirements"),
    "validators": ("folder",),
    "knowledge": ("folder",),
}
"""Optional paths that are relative to the working directory, by their tables."""
