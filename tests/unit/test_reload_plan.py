"""What a reload changes, and what it leaves for the next start."""

import re
from pathlib import Path
from typing import Any

from daemon.settings import Settings, fields_by_key
from daemon.settings.reload_plan import RELOADABLE, is_reloadable, plan

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


def changed(**tables: Any) -> Settings:
    """The defaults with other values; a table is given as a dict of its keys."""
    settings = Settings()
    update = {
        name: getattr(settings, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in tables.items()
    }
    return settings.model_copy(update=update)


def test_new_values_hold_where_they_can_and_old_ones_where_they_cannot() -> None:
    wanted = changed(
        timezone="UTC",
        web={"port": 9999},
        assistant={"model": "another", "max_tool_rounds": 3},
        budget={"total_tokens": 5},
    )
    found = plan(Settings(), wanted)
    assert found.changed == ("assistant.max_tool_rounds", "budget.total_tokens")
    assert found.needs_restart == ("timezone", "web.port", "assistant.model")
    assert found.settings == changed(assistant={"max_tool_rounds": 3}, budget={"total_tokens": 5})


def test_keys_that_need_a_restart_are_named_at_each_reload() -> None:
    """The second comparison is with what holds, not with what was read before."""
    wanted = changed(web={"port": 9999})
    first = plan(Settings(), wanted)
    assert plan(first.settings, wanted).needs_restart == ("web.port",)


def test_going_back_is_a_change_too_and_no_change_is_none() -> None:
    there = plan(Settings(), changed(log={"level": "debug"})).settings
    back = plan(there, Settings())
    assert (back.changed, back.settings) == (("log.level",), Settings())
    assert plan(Settings(), Settings()).changed == ()


def test_every_entry_of_the_list_is_a_key_or_a_table() -> None:
    keys = fields_by_key()
    tables = {f"{key.partition('.')[0]}.*" for key in keys if "." in key}
    assert [entry for entry in RELOADABLE if entry not in keys and entry not in tables] == []
    assert not is_reloadable("web.port")


def test_the_operators_page_lists_the_same_keys() -> None:
    page = OPERATING.read_text("utf-8")
    section = re.split(r"^## ", page.partition("\n## Reload\n")[2], flags=re.MULTILINE)[0]
    rows = "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    assert sorted(re.findall(r"`([a-z_.*]+)`", rows)) == sorted(RELOADABLE)


def test_each_number_changes_by_itself_and_a_new_one_waits_for_a_restart() -> None:
    shared = Settings()
    slower = shared.buffer.model_copy(update={"window_seconds": 9.0})
    before = shared.model_copy(update={"numbers": {"shop": shared, "bar": shared}})
    shop = shared.model_copy(update={"buffer": slower, "language": "en"})
    after = shared.model_copy(update={"numbers": {"shop": shop, "club": shared}})
    found = plan(before, after)
    assert found.changed == ("numbers.shop.buffer.window_seconds",)
    assert found.needs_restart == ("numbers.bar", "numbers.club", "numbers.shop.language")
    assert [*found.settings.numbers] == ["shop", "bar"]
    assert found.settings.numbers["shop"].buffer == slower
    assert found.settings.numbers["shop"].language == "es"


def test_changes_for_all_numbers_are_named_once() -> None:
    shared = Settings()
    before = shared.model_copy(update={"numbers": {"shop": shared}})
    slower = shared.buffer.model_copy(update={"window_seconds": 9.0})
    slow = shared.model_copy(update={"buffer": slower})
    after = slow.model_copy(update={"numbers": {"shop": slow}})
    found = plan(before, after)
    assert found.changed == ("buffer.window_seconds",)
    assert found.settings.numbers["shop"].buffer == slower
