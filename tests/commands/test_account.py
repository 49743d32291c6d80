"""`recado account`: who may sign in to the dashboard by name."""

import json
from pathlib import Path

import pytest
from support.operator import recado_on
from support.place import store_in
from support.rows import rows

from daemon.ops.passwords import matches

PASSWORD = "correct horse battery"


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A stopped store."""
    async with store_in(tmp_path):
        return tmp_path


async def test_an_account_is_added_listed_and_disabled(data_dir: Path) -> None:
    made = await recado_on(data_dir, "account", "add", "María  López", answer=f"{PASSWORD}\n")
    assert (made.exit_code, made.stdout) == (0, "María López may sign in: agent\n")
    (row,) = rows(data_dir, "accounts")
    assert matches(row["password"], PASSWORD)
    assert not matches(row["password"], PASSWORD + "x")
    listed = (await recado_on(data_dir, "account", "list")).stdout
    assert listed == "María López  agent  never signed in\n"
    assert (await recado_on(data_dir, "account", "disable", "maría lópez")).exit_code == 0
    (row,) = json.loads((await recado_on(data_dir, "account", "list", "--json")).stdout)
    assert (row["name"], row["disabled"]) == ("María López", True)
    assert "password" not in row
    again = await recado_on(data_dir, "account", "disable", "--undo", "María López")
    assert again.stdout == "María López is enabled\n"
    assert PASSWORD not in str(rows(data_dir, "audit_details"))


async def test_a_password_is_replaced(data_dir: Path) -> None:
    await recado_on(data_dir, "account", "add", "María", answer=f"{PASSWORD}\n")
    new = await recado_on(data_dir, "account", "password", "María", answer="another password\n")
    assert new.exit_code == 0
    (row,) = rows(data_dir, "accounts")
    assert matches(row["password"], "another password")
    assert (
        await recado_on(data_dir, "account", "password", "Nobody", answer=PASSWORD)
    ).exit_code == 1


async def test_what_is_no_account_is_refused(data_dir: Path) -> None:
    short = await recado_on(data_dir, "account", "add", "María", answer="short\n")
    assert (short.exit_code, "10 characters" in short.stderr) == (2, True)
    assert (await recado_on(data_dir, "account", "add", "  ", answer=PASSWORD)).exit_code == 2
    await recado_on(data_dir, "account", "add", "María", answer=PASSWORD)
    again = await recado_on(data_dir, "account", "add", "MARÍA", answer=PASSWORD)
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    assert len(rows(data_dir, "accounts")) == 1
