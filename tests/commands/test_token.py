"""`recado token`: tokens of the API are created, listed and revoked."""

import json
from pathlib import Path

import pytest
from support.operator import recado_on
from support.place import store_in
from support.rows import rows


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A stopped store."""
    async with store_in(tmp_path):
        return tmp_path


async def test_a_token_is_shown_once(data_dir: Path) -> None:
    made = await recado_on(data_dir, "token", "create", "crm", "--role", "agent")
    assert made.exit_code == 0, made.stderr
    token = made.stdout.strip()
    assert token.startswith("rcd_")
    listed = (await recado_on(data_dir, "token", "list")).stdout
    assert listed.startswith("crm  agent  created ")
    assert "never used" in listed
    assert token not in listed + str(rows(data_dir, "api_tokens"))
    (row,) = json.loads((await recado_on(data_dir, "token", "list", "--json")).stdout)
    assert (row["name"], row["role"], row["used_at"]) == ("crm", "agent", None)
    assert "digest" not in row


async def test_as_json_for_programs(data_dir: Path) -> None:
    made = await recado_on(data_dir, "token", "create", "crm", "--role", "read", "--json")
    assert json.loads(made.stdout).keys() == {"name", "role", "token"}


async def test_a_token_is_revoked(data_dir: Path) -> None:
    await recado_on(data_dir, "token", "create", "crm", "--role", "operator")
    assert (await recado_on(data_dir, "token", "revoke", "crm")).exit_code == 0
    assert (await recado_on(data_dir, "token", "list")).stdout == "0 tokens\n"
    again = await recado_on(data_dir, "token", "revoke", "crm")
    assert (again.exit_code, "there is no token crm" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["admin", "CRM", "", "a b", "x" * 61])
async def test_names_that_the_audit_could_not_tell_apart_are_refused(
    data_dir: Path, name: str
) -> None:
    refused = await recado_on(data_dir, "token", "create", name, "--role", "read")
    assert refused.exit_code == 2
    assert rows(data_dir, "api_tokens") == []


async def test_a_name_is_given_once(data_dir: Path) -> None:
    await recado_on(data_dir, "token", "create", "crm", "--role", "read")
    again = await recado_on(data_dir, "token", "create", "crm", "--role", "agent")
    assert (again.exit_code, "already" in again.stderr) == (2, True)
    assert [row["role"] for row in rows(data_dir, "api_tokens")] == ["read"]
