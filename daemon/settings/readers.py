"""Reads the keys and values that the sources of the configuration hold, with the source of each.

A fault goes into the caller's list, one line each; see `daemon.settings.sources`.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from daemon.settings import fields_by_key
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

FIELDS = fields_by_key()
TABLES = frozenset(key.partition(".")[0] for key in FIELDS if "." in key)
"""All settings by their keys, and the tables that they stand in."""


def environment_name(key: str) -> str:
    """Name the environment variable of a key: ``RECADO_WEB__PORT`` for ``web.port``."""
    return "RECADO_" + key.replace(".", "__").upper()


_ENVIRONMENT_KEYS = {environment_name(key): key for key in FIELDS}

TOOL_SECRETS = "tools.secrets"
_SECRET_VARIABLE = environment_name(TOOL_SECRETS) + "__"
"""Begins the variables of single secrets of tools; their names follow in capitals."""

_NOT_SETTINGS = frozenset({"RECADO_CONFIG", "RECADO_SUPERVISED", "RECADO_TOKEN"})
"""Names of the file and of the presence of a supervisor; they set no key."""


class GivenValue(NamedTuple):
    """A value as a source has it, before it is checked."""

    value: Any
    origin: str
    written: str = ""
    """The key as it was written, if that is another than the setting's: a number's."""


def merged(*sources: dict[str, GivenValue]) -> dict[str, GivenValue]:
    """The strongest value of each key; of the secrets of tools, that of each name."""
    result: dict[str, GivenValue] = {}
    for source in sources:
        before = result.get(TOOL_SECRETS)
        result |= source
        new = source.get(TOOL_SECRETS)
        if before and new and isinstance(before.value, dict) and isinstance(new.value, dict):
            result[TOOL_SECRETS] = new._replace(value=before.value | new.value)
    return result


def read_file(
    config: Path | None, environ: Mapping[str, str], cwd: Path, problems: list[str]
) -> tuple[Path | None, dict[str, GivenValue]]:
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
    shown = shown_path(file, cwd)
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


def _flatten(tables: dict[str, Any], origin: str, problems: list[str]) -> dict[str, GivenValue]:
    given: dict[str, GivenValue] = {}
    for name, value in tables.items():
        if name == "numbers":
            given |= _flatten_numbers(value, origin, problems)
            continue
        if name in TABLES:
            if not isinstance(value, dict):
                problems.append(f"{name}: must be a table of keys ({origin})")
                continue
            entries = {f"{name}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            entries = {name: value}
        for key, entry in entries.items():
            if key in FIELDS:
                given[key] = GivenValue(entry, origin)
            else:
                problems.append(f"{key}: unknown key{_key_suggestion(key)} ({origin})")
    return given


def _flatten_numbers(tables: object, origin: str, problems: list[str]) -> dict[str, GivenValue]:
    given: dict[str, GivenValue] = {}
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
                is_table = key in TABLES and isinstance(value, dict)
                inner = {f"{key}.{k}": v for k, v in value.items()} if is_table else {key: value}
                for inner_key, entry in inner.items():
                    given |= _number_entry(name, inner_key, GivenValue(entry, origin), problems)
    return given


def _number_entry(
    name: str, inner: str, entry: GivenValue, problems: list[str]
) -> dict[str, GivenValue]:
    key = f"{PREFIX}{name}.{inner}"
    if setting_of(inner):
        return {key: entry}
    if inner in FIELDS or inner in TABLES:
        problems.append(f"{key}: belongs to the whole process, not to a number ({entry.origin})")
    else:
        problems.append(f"{key}: unknown key{_key_suggestion(inner)} ({entry.origin})")
    return {}


def read_state_directory(environ: Mapping[str, str]) -> dict[str, GivenValue]:
    """Read the data folder that systemd has made."""
    # systemd separates several directories with colons; the unit has one (systemd.exec(5)).
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return {}
    return {"data_dir": GivenValue(folder, "from the environment variable STATE_DIRECTORY")}


def read_environment(
    environ: Mapping[str, str], problems: list[str], notes: list[str]
) -> dict[str, GivenValue]:
    """Read the variables that set a key; ``notes`` says where two set the same one."""
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
            key: GivenValue(text, f"from the environment variable {name}")
            for key, (name, text) in texts.items()
        },
        problems,
    )
    return merged(given, _of_tools(secrets, f"from the environment variables {_SECRET_VARIABLE}…"))


def _of_tools(secrets: dict[str, str], origin: str) -> dict[str, GivenValue]:
    return {TOOL_SECRETS: GivenValue(secrets, origin)} if secrets else {}


def read_credentials(environ: Mapping[str, str], problems: list[str]) -> dict[str, GivenValue]:
    """Read the credentials directory: files named like a key or a plain variable."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    texts: dict[str, GivenValue] = {}
    try:
        present = {path.name: path for path in Path(folder).iterdir()}
    except OSError as error:
        problems.append(f"CREDENTIALS_DIRECTORY: {folder} cannot be read: {error.strerror}")
        return {}
    of_numbers = [
        name for name in present if name.startswith(PREFIX) and NAME.fullmatch(split_key(name)[0])
    ]
    keys = [*FIELDS, *(name for name in of_numbers if setting_of(split_key(name)[1]))]
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
            texts[key] = GivenValue(text, f"from the credential {name}")
    of_files = _of_tools(secrets, f"from the credentials {TOOL_SECRETS}.…")
    return merged(_read_texts(texts, problems), of_files)


def _read_texts(texts: dict[str, GivenValue], problems: list[str]) -> dict[str, GivenValue]:
    given: dict[str, GivenValue] = {}
    for key, (text, origin, _) in texts.items():
        try:
            given[key] = GivenValue(rule_of(field_of(key)).read(text), origin)
        except ValueError:
            problems.append(fault_of(key, GivenValue(text, origin)))
    return given


def field_of(key: str) -> FieldInfo:
    """The field of a setting, also of a number's."""
    return FIELDS[setting_of(split_key(key)[1]) if key.startswith(PREFIX) else key]


def fault_of(key: str, given: GivenValue) -> str:
    """The line about a value that its rule refuses; a secret is not shown."""
    rule = rule_of(field_of(key))
    but = "" if rule.secret else f", not {shown(given.value)}"
    return f"{given.written or key}: must be {rule.text}{but} ({given.origin})"


def shown(value: object) -> str:
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


def shown_path(path: Path, cwd: Path) -> str:
    """Show a path, relative to the working directory where it is below it."""
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _key_suggestion(key: str) -> str:
    last = key.rpartition(".")[2]
    same_name = [known for known in FIELDS if known.rpartition(".")[2] == last]
    return _suggestion(key, same_name if len(same_name) == 1 else [*FIELDS, *TABLES])


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
