"""What a stranger learns of a configuration that cannot be used: which part of it, and no value."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon.conversation.config_loader import load_validators
from daemon.errors import SettingsError, StoreDamaged, StoreInUse, ToolError, ValidatorError
from daemon.settings.sources import load_settings
from daemon.startup import public_reason
from daemon.tools.toolbox import Toolbox, load_tools

SECRET = "hunter2"
"""Stands in every value that is wrong."""

FAULTS: dict[str, Mapping[str, str]] = {
    "buffer.window_seconds": {"RECADO_BUFFER__WINDOW_SECONDS": SECRET},
    "budget.total_cost": {"RECADO_BUDGET__TOTAL_COST": "5", "RECADO_ASSISTANT__MODEL": SECRET},
    "assistant.instructions_file": {"RECADO_ASSISTANT__INSTRUCTIONS_FILE": f"/{SECRET}.md"},
    "whapi.api_url": {"WHAPI_API_URL": f"ftp://me:{SECRET}@example.com"},
    "RECADO_HUNTER": {"RECADO_HUNTER": SECRET},
}


@pytest.mark.parametrize("named", FAULTS)
def test_a_setting_is_named_and_not_quoted(tmp_path: Path, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config=None, environ=FAULTS[named], cwd=tmp_path)
    assert named in public_reason(caught.value)
    assert SECRET not in public_reason(caught.value)


@pytest.mark.parametrize(
    ("written", "named"),
    [(f"sk-{SECRET} = 1", "an unknown key"), (f"[texts]\n{SECRET} = 3", "texts")],
)
def test_a_name_that_is_no_setting_is_not_quoted(tmp_path: Path, written: str, named: str) -> None:
    """It may be a key or a number that was put in the wrong place."""
    file = tmp_path / "recado.toml"
    file.write_text(written)
    with pytest.raises(SettingsError) as caught:
        load_settings(config=file, environ={}, cwd=tmp_path)
    assert public_reason(caught.value) == f"cannot be used: {named}"


def test_a_file_is_named_without_its_folder_and_its_words(tmp_path: Path) -> None:
    folder = tmp_path / SECRET
    folder.mkdir()
    (folder / "recado.toml").write_text(f"{SECRET} = = 1")
    (folder / "broken.py").write_text(f"raise ValueError('{SECRET}')")
    with pytest.raises(SettingsError) as unreadable:
        load_settings(config=folder / "recado.toml", environ={}, cwd=tmp_path)
    with pytest.raises(ToolError) as broken:
        load_tools([], folder)
    assert public_reason(unreadable.value) == "cannot be used: recado.toml"
    assert public_reason(broken.value) == "cannot be used: broken.py"


def test_modules_and_names_of_tools_are_not_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as module:
        load_tools([SECRET], None)
    with pytest.raises(ToolError) as folder:
        load_tools([], tmp_path / SECRET)
    with pytest.raises(ToolError) as disabled:
        Toolbox([], disabled=[SECRET])
    with pytest.raises(ValidatorError) as validator:
        load_validators([SECRET])
    reasons = [public_reason(caught.value) for caught in (module, folder, disabled, validator)]
    assert [reason.removeprefix("cannot be used: ") for reason in reasons] == [
        "a module",
        "tools.folder",
        "tools.disabled",
        "a module",
    ]


def test_the_store_is_named_without_its_place() -> None:
    assert public_reason(StoreInUse(f"/{SECRET}", "7")).endswith("another process (pid 7)")
    assert SECRET not in public_reason(StoreInUse(f"/{SECRET}", "7"))
    damaged = StoreDamaged(f"cannot open /{SECRET}/recado.db")
    assert public_reason(damaged) == "the store cannot be used"
