"""Which settings can change while the daemon runs, and what a change comes to."""

from dataclasses import dataclass

from daemon.settings import Settings, fields_by_key

RELOADABLE = (
    "log.level",
    "assistant.instructions_file",
    "assistant.max_tool_rounds",
    "assistant.max_concurrent_runs",
    "assistant.history_tokens",
    "assistant.compaction",
    "history.*",
    "tools.*",
    "validators.*",
    "buffer.*",
    "presence.*",
    "groups.*",
    "contacts.*",
    "chats.*",
    "replies.*",
    "takeover.*",
    "escalation.*",
    "delivery.*",
    "budget.*",
    "brakes.*",
    "recovery.max_age_hours",
    "texts.*",
    "voice.max_characters",
)
"""The keys that a reload changes; ``.*`` is all of a table. docs/operating.md lists them too.

The others are built into what was opened at the start: sockets, clients, the store, the pages.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a configuration that was read again."""

    settings: Settings
    """As they hold after the reload: the new values where they can be changed, else the old."""
    changed: tuple[str, ...]
    """Keys that change now."""
    needs_restart: tuple[str, ...]
    """Keys whose new value holds from the next start on."""


def is_reloadable(key: str) -> bool:
    """True if a reload can change the key."""
    return key in RELOADABLE or f"{key.partition('.')[0]}.*" in RELOADABLE


def plan(current: Settings, wanted: Settings) -> Plan:
    """Compare what holds with what was read, and put together what can hold now."""
    differing = [key for key in fields_by_key() if value_of(current, key) != value_of(wanted, key)]
    changed = tuple(key for key in differing if is_reloadable(key))
    tables: dict[str, dict[str, object]] = {}
    for key in changed:
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = value_of(wanted, key)
    update = {
        table: getattr(current, table).model_copy(update=values) for table, values in tables.items()
    }
    return Plan(
        settings=current.model_copy(update=update),
        changed=changed,
        needs_restart=tuple(key for key in differing if not is_reloadable(key)),
    )


def value_of(settings: Settings, key: str) -> object:
    """The value of a setting by its key, ``table.name``."""
    table, _, name = key.rpartition(".")
    return getattr(getattr(settings, table) if table else settings, name)
