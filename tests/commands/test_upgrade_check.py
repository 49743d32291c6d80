"""`recado upgrade-check`: what the next start does to the store, and what would prevent it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from support.place import database, store_in, variables_of_store
from support.rows import select

from daemon.__main__ import main
from daemon.ledger.migrations import latest_version

LATEST = latest_version()
CONFIG = """
[assistant]
api_key = "a-key"
instructions_file = "{folder}/instructions.md"
[whapi]
token = "a-token"
[web]
webhook_secret = "a-secret-of-the-webhook"
admin_token = "a-token-of-the-dashboard"
[escalation]
chat = "573009876543"
"""

Check = Callable[..., tuple[Result, dict[str, str]]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a store, instructions and a sound configuration."""
    (tmp_path / "instructions.md").write_text("You answer for a hotel.")
    (tmp_path / "recado.toml").write_text(CONFIG.format(folder=tmp_path))
    trio.run(_opened_once, tmp_path / "data")
    return tmp_path


async def _opened_once(folder: Path) -> None:
    async with store_in(folder):
        pass


@pytest.fixture
def check(place: Path) -> Check:
    """Runs the command; gives the result, and the texts by their beginnings and levels."""

    def run(**environ: str) -> tuple[Result, dict[str, str]]:
        data_dir = place / "data"
        done = CliRunner().invoke(
            main,
            ["upgrade-check", "--config", str(place / "recado.toml"), "--json"],
            env={"RECADO_DATA_DIR": str(data_dir), **variables_of_store(data_dir), **environ},
        )
        found = {f"{one['level']} {one['text']}": one["text"] for one in json.loads(done.stdout)}
        return done, found

    return run


def line_of(found: dict[str, str], beginning: str) -> str:
    """The only finding that begins so."""
    (line,) = [text for name, text in found.items() if name.startswith(beginning)]
    return line


def test_a_store_of_this_version_has_nothing_to_do(check: Check) -> None:
    done, found = check()
    assert line_of(found, "ok store: ") == f"store: version {LATEST}, nothing to do"
    assert done.exit_code == 0, done.stdout


def test_an_older_store_is_looked_at_and_left_as_it_is(check: Check, place: Path) -> None:
    database().set_version(place / "data", LATEST - 2)
    done, found = check()
    said = line_of(found, "ok store: ")
    assert f"2 steps, from version {LATEST - 2} to {LATEST}" in said
    has_to_stop = any(one.startswith("warning nodes: ") for one in found)
    assert done.exit_code == int(has_to_stop)
    assert line_of(check()[1], "ok store: ") == said


def test_a_store_of_a_later_version_would_be_refused(check: Check, place: Path) -> None:
    database().set_version(place / "data", LATEST + 1)
    done, found = check()
    assert f"version {LATEST + 1}, this Recado knows {LATEST}" in line_of(found, "error store: ")
    assert done.exit_code == 2


def test_a_setting_that_is_not_known_any_more_is_named(check: Check, place: Path) -> None:
    with (place / "recado.toml").open("a") as file:
        file.write("[buffer]\nwindow_secs = 5\n")
    done, found = check()
    said = line_of(found, "error buffer.window_secs")
    assert "did you mean buffer.window_seconds" in said
    assert done.exit_code == 2


def test_a_tool_and_a_package_that_are_gone_are_named(check: Check, place: Path) -> None:
    (place / "tools").mkdir()
    (place / "tools" / "rooms.py").write_text("import a_module_that_is_gone\n")
    (place / "requirements.txt").write_text("a-package-that-is-gone==1\n")
    done, found = check(
        RECADO_TOOLS__FOLDER=str(place / "tools"),
        RECADO_TOOLS__REQUIREMENTS=str(place / "requirements.txt"),
    )
    assert "a-package-that-is-gone" in line_of(found, "error tools.requirements: ")
    assert any("a_module_that_is_gone" in text for text in found.values())
    assert done.exit_code == 2


@pytest.mark.sqlite
def test_a_disk_without_room_for_a_backup_is_a_warning(
    check: Check, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (place / "data" / "recado.db").stat().st_size
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2 * size - 1))
    done, found = check()
    assert "too little for a backup" in line_of(found, "warning disk: ")
    assert done.exit_code == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * size))
    assert check()[0].exit_code == 0


def test_a_running_daemon_gives_its_variables_and_its_folder(place: Path) -> None:
    data_dir = place / "data"
    environ = {"RECADO_CONFIG": "recado.toml", "RECADO_DATA_DIR": "data"}
    process = subprocess.Popen(
        ["/bin/cat"],
        cwd=place,
        env={**environ, **variables_of_store(data_dir)},
        stdin=subprocess.PIPE,
    )
    with process:
        done = CliRunner().invoke(main, ["upgrade-check", "--daemon", str(process.pid)])
    assert done.exit_code == 0, done.output
    assert f"ok: store: version {LATEST}, nothing to do" in done.stdout
    gone = CliRunner().invoke(main, ["upgrade-check", "--daemon", str(process.pid)])
    assert gone.exit_code == 2
    assert "No such file" in gone.stderr


def test_without_a_store_the_start_creates_one(check: Check, place: Path) -> None:
    done, found = check(RECADO_DATA_DIR=str(place / "new"), RECADO_STORE__URL="")
    assert "there is none yet" in line_of(found, "ok store: ")
    assert done.exit_code == 0
    assert not (place / "new").exists()


def test_a_store_is_looked_at_though_the_configuration_cannot_be_read(place: Path) -> None:
    (place / "recado.toml").write_text("[nothing")
    data_dir = place / "data"
    options = ["--config", str(place / "recado.toml")]
    done = CliRunner().invoke(main, ["upgrade-check", *options])
    assert "the store was not looked at" in done.stdout
    named = CliRunner().invoke(
        main,
        ["upgrade-check", *options, "--data-dir", str(data_dir)],
        env=variables_of_store(data_dir),
    )
    assert f"ok: store: version {LATEST}, nothing to do" in named.stdout
    assert (done.exit_code, named.exit_code) == (2, 2)
    assert select(data_dir, "chats") == []
