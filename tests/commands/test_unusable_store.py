"""Every command says plainly that there is nothing to work on, and creates nothing."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.operator import recado_at
from support.rows import rows
from support.stage import open_stage

COMMANDS = (
    ("explain", "some-message"),
    ("replay", "--dead"),
    ("send", "573001234567", "Hola"),
    ("backup", "copy.db"),
    ("export", "573001234567"),
    ("forget", "573001234567", "--yes"),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: str(arguments[0]))
@pytest.mark.sqlite
def test_without_a_store_nothing_is_created(arguments: tuple[str, ...], tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        done = recado_at(data_dir, *arguments)
        assert done.exit_code == 2
        assert "there is no store" in done.stderr
        assert [path for path in tmp_path.rglob("*") if path != data_dir] == []
        data_dir.mkdir(exist_ok=True)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: str(arguments[0]))
@pytest.mark.sqlite
def test_a_file_that_is_no_store_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "recado.db").write_text("These are not the bytes of a database." * 100)
    done = recado_at(tmp_path, *arguments)
    assert done.exit_code == 2
    assert "is not a store" in done.stderr


@pytest.mark.parametrize(("version", "advice"), [(1, "start the daemon"), (999, "use the Recado")])
@pytest.mark.sqlite
async def test_a_store_of_another_version_is_refused(
    version: int, advice: str, tmp_path: Path
) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await stage.stop()
    data_dir = tmp_path / "data"
    with closing(sqlite3.connect(data_dir / "recado.db")) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    for arguments in COMMANDS:
        done = recado_at(data_dir, *arguments)
        assert done.exit_code == 2
        assert f"has version {version}" in done.stderr
        assert advice in done.stderr
    assert rows(data_dir, "outbox", "id") == []


def test_the_settings_name_the_store_unless_the_command_line_does(tmp_path: Path) -> None:
    """As a process: exit status, and errors on stderr only."""
    config = tmp_path / "recado.toml"
    config.write_text('data_dir = "/nonexistent/of-the-settings"\n')
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "explain", "x", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "/nonexistent/of-the-settings/recado.db" in done.stderr
    config.write_text("no_such_key = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "explain", "x", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no_such_key" in done.stderr
