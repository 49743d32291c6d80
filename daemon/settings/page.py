"""Writes the settings' two pages from the settings themselves.

``python -m daemon.settings.page`` rewrites ``config/recado.toml`` and ``docs/settings.md`` in the
working directory; a test fails while they differ from the code.
"""

import ast
import inspect
import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import cast

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from daemon.settings import Settings, fields_by_key
from daemon.settings.numbers import OF_THE_PROCESS
from daemon.settings.readers import PLAIN_NAMES, environment_name
from daemon.settings.rules import SettingsTable, rule_of

_FILE_HEAD = """\
# The configuration of Recado. Every key is here, commented out, at its default: remove the "#" in
# front of a key to change it. Environment variables and systemd credentials win over this file;
# docs/settings.md says what each value may be. Secrets are better kept out of this file.

"""

_PAGE_HEAD = """\
# Settings

<!-- Written by python -m daemon.settings.page from daemon/settings/. -->

Every setting has a default. Values come from these sources, from the weakest to the strongest:

1. **One TOML file**: the one named by `--config`, else by `RECADO_CONFIG`, else
   `config/recado.toml` in the working directory, else `/etc/recado/recado.toml`. A file that was
   named must exist. [`config/recado.toml`](../config/recado.toml) holds every key at its default.
2. **Environment variables**, which win over the file. Every key has one, shown below
   (`RECADO_<TABLE>__<KEY>`); some have a plain name as well, which gives way to the long one. An
   empty variable counts as not set. Switches are `true`, `false`, `yes`, `no`, `1` or `0`; lists
   are separated by commas.
3. **Files in `$CREDENTIALS_DIRECTORY`** (systemd's `LoadCredential=`), which win over both: named
   like the key (`whapi.token`) or like a plain variable (`WHAPI_TOKEN`). White space around the
   value is dropped; other files are left alone.

Relative paths are relative to the working directory, in the file too. The default of `data_dir`
under systemd is `$STATE_DIRECTORY`.

## Several numbers

Each number is a table `[numbers.<name>]`; its name has small letters, digits and underscores.

```toml
[numbers.shop]
token = "…"                        # whapi.token of this number
webhook_secret = "…"               # web.webhook_secret of this number
instructions_file = "shop.md"      # assistant.instructions_file of this number
channel_id = "MANTIS-M72HC"        # whapi.channel_id: needed where webhooks go to /hook
language = "en"

[numbers.shop.buffer]              # any other table of this page, for this number alone
window_seconds = 3
```

Its webhooks go to `/n/shop/hook`; [numbers](numbers.md) says more.

What a number does not say it takes from the rest of the file. A variable is
`RECADO_NUMBERS__SHOP__TOKEN` or `RECADO_NUMBERS__SHOP__BUFFER__WINDOW_SECONDS`, a credential
`numbers.shop.token`. These belong to the whole process and stand under no number: {process}.
Without `[numbers]`, the number of `[whapi]` is called `main`; both together are an error.

## Faults

An unknown key, an unknown `RECADO_` variable or a bad value stops the start with exit status 2 and
one line for each fault, which names the key, the fault and the file or variable. `recado check`
does the same without starting. Values of secrets are never shown.

`environment = "production"` needs `web.webhook_secret` and `web.admin_token`, each of 16
characters or more. Talking to the real services needs `whapi.token` and `assistant.api_key`.
"""


def default_of(field: FieldInfo) -> str:
    """Write a setting's default as TOML; a secret's default is an empty text or list."""
    default = field.get_default(call_default_factory=True)
    if default is None or isinstance(default, SecretStr):
        return '""'
    if isinstance(default, tuple):
        return json.dumps(default, ensure_ascii=False)
    if isinstance(default, Path):
        return json.dumps(str(default))
    # JSON and TOML write numbers, switches, texts and empty tables alike.
    return json.dumps(default, ensure_ascii=False)


def meaning_of(key: str) -> str:
    """The meaning of a setting: the docstring below it."""
    table, _, name = key.rpartition(".")
    return _meanings(_section(table))[name]


@cache
def _meanings(section: type[SettingsTable]) -> dict[str, str]:
    (found,) = ast.parse(inspect.getsource(section)).body
    lines = cast("ast.ClassDef", found).body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(lines)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _section(table: str) -> type[SettingsTable]:
    section = Settings.model_fields[table].annotation if table else Settings
    if not (isinstance(section, type) and issubclass(section, SettingsTable)):
        raise TypeError(table)
    return section


def configuration_file() -> str:
    """Write ``config/recado.toml``."""
    lines = [_FILE_HEAD]
    table = ""
    for key, field in fields_by_key().items():
        parent, _, name = key.rpartition(".")
        if parent != table:
            table = parent
            lines.append(f"\n[{table}]\n")
        lines.append(f"# {name} = {default_of(field)}  # {meaning_of(key)}\n")
    return "".join(lines)


def settings_page() -> str:
    """Write ``docs/settings.md``."""
    plain_names = {key: name for name, key in PLAIN_NAMES.items()}
    process = ", ".join(f"`{table}`" for table in sorted(OF_THE_PROCESS))
    lines = [_PAGE_HEAD.replace("{process}", process)]
    heading = "Whole daemon"
    for key, field in fields_by_key().items():
        parent = key.rpartition(".")[0]
        wanted = f"`[{parent}]`" if parent else "Whole daemon"
        if wanted != heading or len(lines) == 1:
            heading = wanted
            lines.append(f"\n## {heading}\n\n{_table_purpose(parent)}")
            lines.append(
                "| key | default | must be | meaning | environment |\n|---|---|---|---|---|\n"
            )
        names = [environment_name(key), *([plain_names[key]] if key in plain_names else [])]
        cells = [
            f"`{key}`",
            "none" if rule_of(field).secret else f"`{default_of(field)}`",
            rule_of(field).text,
            meaning_of(key),
            ", ".join(f"`{name}`" for name in names),
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _table_purpose(table: str) -> str:
    if not table:
        return ""
    purpose = (_section(table).__doc__ or "").partition("\n")[0].rpartition("``: ")[2]
    return f"{purpose[:1].upper()}{purpose[1:]}\n\n"


def main() -> None:
    """Rewrite both files."""
    Path("config/recado.toml").write_text(configuration_file(), encoding="utf-8")
    Path("docs/settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
