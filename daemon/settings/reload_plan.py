"""The settings that can change while the daemon runs, and the effect of a reload."""

from dataclasses import dataclass

from daemon.settings import Settings, fields_by_key, with_tables
from daemon.settings.numbers import PREFIX, split_key

RELOADABLE = (
    "log.level",
    "assistant.instructions_file",
    "assistant.max_tool_rounds",
    "assistant.max_concurrent_runs",
    "assistant.history_tokens",
    "assistant.compaction",
    "assistant.candidate",
    "assistant.candidate_share",
    "assistant.candidate_instructions_file",
    "assistant.candidate_model",
    "history.*",
    "tools.modules",
    "tools.folder",
    "tools.longest_seconds",
    "tools.files_folder",
    "tools.disabled",
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
    "hours.*",
    "reminders.*",
    "figures.*",
    "texts.*",
    "voice.max_characters",
)
"""The keys that a reload changes; ``.*`` is a whole table. docs/operating.md lists them too.

The others are used once at the start: for sockets, clients, the store, the pages.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The effect of a configuration that was read again."""

    settings: Settings
    """The settings after the reload: new values where they can change, else the old ones."""
    changed: tuple[str, ...]
    """Keys that change now."""
    needs_restart: tuple[str, ...]
    """Keys whose new value takes effect at the next start."""


def is_reloadable(key: str) -> bool:
    """True if a reload can change the key."""
    return key in RELOADABLE or f"{key.partition('.')[0]}.*" in RELOADABLE


def plan(current: Settings, wanted: Settings) -> Plan:
    """Compare the current settings with those that were read, and merge what can change now.

    So it is for each number of ``[numbers]``; one that is new or gone waits for a restart.
    """
    shared = _plan(current, wanted)
    changed, waiting = [*shared.changed], [*shared.needs_restart]
    numbers: dict[str, Settings] = {}
    for name in sorted({*current.numbers, *wanted.numbers}):
        before, after = current.numbers.get(name), wanted.numbers.get(name)
        if before is None or after is None:
            waiting.append(f"{PREFIX}{name}")
            numbers |= {name: before} if before else {}
            continue
        own = _plan(before, after)
        numbers[name] = own.settings
        changed += _own(own.changed, after, wanted, shared.changed, name)
        waiting += _own(own.needs_restart, after, wanted, shared.needs_restart, name)
    in_order = {name: numbers[name] for name in current.numbers}
    return Plan(
        settings=with_tables(shared.settings, {}, numbers=in_order),
        changed=tuple(changed),
        needs_restart=tuple(waiting),
    )


def _own(
    keys: tuple[str, ...], after: Settings, wanted: Settings, reported: tuple[str, ...], name: str
) -> list[str]:
    """The keys of a number that changed, without those that changed for all."""
    return [
        f"{PREFIX}{name}.{key}"
        for key in keys
        if key not in reported or value_of(after, key) != value_of(wanted, key)
    ]


def _plan(current: Settings, wanted: Settings) -> Plan:
    """Compare two settings, without those of ``[numbers]``."""
    differing = [key for key in fields_by_key() if value_of(current, key) != value_of(wanted, key)]
    changed = tuple(key for key in differing if is_reloadable(key))
    tables: dict[str, dict[str, object]] = {}
    for key in changed:
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = value_of(wanted, key)
    return Plan(
        settings=with_tables(current, tables),
        changed=changed,
        needs_restart=tuple(key for key in differing if not is_reloadable(key)),
    )


def value_of(settings: Settings, key: str) -> object:
    """The value of a setting by its key, ``table.name`` or ``numbers.shop.table.name``."""
    if key.startswith(PREFIX):
        name, key = split_key(key)
        settings = settings.numbers[name]
    table, _, name = key.rpartition(".")
    return getattr(getattr(settings, table) if table else settings, name)
