"""The keys of ``[numbers.<name>]``: which there are, and which settings of a number they are.

A number has all settings of the file; what stands in its own table wins. A few keys of the table
have a short name: `numbers.shop.token` is `whapi.token` of the number *shop*, whose gateway is
Whapi.
"""

import re
from collections.abc import Mapping

from daemon.settings import Settings, fields_by_key, with_tables

PREFIX = "numbers."

ONLY = "main"
"""The name of the number of a configuration without ``[numbers]``."""

NAME = re.compile(r"[a-z0-9_]+")

OF_THE_PROCESS = frozenset(
    {
        "environment",
        "data_dir",
        "log",
        "store",
        "node",
        "web",
        "dashboard",
        "files",
        "retention",
        "housekeeping",
        "tracing",
        "shutdown",
        "sandbox",
        "notify",
        "webhooks",
        "assistant.max_concurrent_runs",
        "assistant.webhook_secret",
        "recovery.delay_seconds",
        "recovery.timeout_seconds",
    }
)
"""Tables and settings that a number cannot have of its own."""

GATEWAYS = ("whapi", "cloud")
"""The tables of the gateways. In a number's table their keys need no table of their own."""

_SHORT = {
    "webhook_secret": "web.webhook_secret",
    "instructions_file": "assistant.instructions_file",
}

_FIELDS = fields_by_key()


def setting_of(inner: str, gateway: str = "whapi") -> str:
    """The setting that a key of a number's table is; empty if there is none.

    ``inner`` is what follows the number's name: ``token``, ``buffer.window_seconds``.
    """
    key = _SHORT.get(inner, "")
    if not key and "." not in inner:
        key = next((f"{g}.{inner}" for g in (gateway, *GATEWAYS) if f"{g}.{inner}" in _FIELDS), "")
    if key:
        return key
    is_own = inner in _FIELDS and not {inner, inner.partition(".")[0]} & OF_THE_PROCESS
    return inner if is_own else ""


def split_key(key: str) -> tuple[str, str]:
    """Split ``numbers.shop.buffer.window_seconds`` into the number's name and the rest."""
    name, _, inner = key.removeprefix(PREFIX).partition(".")
    return name, inner


def split_variable(variable: str) -> tuple[str, str] | None:
    """Split ``RECADO_NUMBERS__SHOP__TOKEN`` into the number's name and the key; None if it is none.

    A name may hold underscores: the longest ending that is a key wins.
    """
    rest = variable.removeprefix("RECADO_NUMBERS__")
    parts = rest.lower().split("__")
    for at in range(1, len(parts)):
        name, inner = "__".join(parts[:at]), ".".join(parts[at:])
        if setting_of(inner) and NAME.fullmatch(name):
            return name, inner
    return None


def numbers_of(settings: Settings) -> Mapping[str, Settings]:
    """Every number by its name, with all its settings."""
    return settings.numbers or {ONLY: settings}


def names_by_id(settings: Settings) -> dict[str, str]:
    """The names of the numbers whose gateway's id is configured, by that id."""
    ids = {
        number.cloud.phone_number_id if number.gateway == "cloud" else number.whapi.channel_id: name
        for name, number in numbers_of(settings).items()
    }
    return {gateway_id: name for gateway_id, name in ids.items() if gateway_id}


def with_own_address(settings: Settings, name: str) -> Settings:
    """The settings of a number, with its own address as ``web.webhook_url``.

    Of ``https://bot.example.com/hook`` it is ``https://bot.example.com/n/<name>/hook``.
    """
    if not settings.numbers:
        return settings
    url = settings.web.webhook_url.rstrip("/").removesuffix("/hook")
    number = settings.numbers[name]
    own = {"webhook_url": f"{url}/n/{name}/hook" if url else ""}
    return with_tables(number, {"web": own})
