"""Secrets of tools: from file, variables and credentials, through the context, and never shown."""

import json
from pathlib import Path

import pytest
from support.model_script import call, say
from support.scenes import model_input, open_scene
from support.stage import LAURA

from daemon.errors import SettingsError, ToolError
from daemon.settings.sources import Loaded, load_settings

TOOL = """
from daemon.tools import ToolContext, tool

@tool
def pay(context: ToolContext) -> str:
    '''Pay.'''
    return f"{len(context.secret('crm_key'))} characters, {context!r}"

@tool
def other(context: ToolContext) -> str:
    '''Look for what is not there.'''
    return context.secret('missing')
"""
SECRET = "a-secret-of-a-tool-0123456789"


def load(folder: Path, **environ: str) -> Loaded:
    return load_settings(config=None, environ=environ, cwd=folder)


def test_each_source_adds_its_secrets_and_the_strongest_wins(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "recado.toml"
    file.write_text('[tools.secrets]\nfrom_file = "1"\nchanged = "1"\nagain = "1"\n')
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "tools.secrets.again").write_text("3\n")
    (credentials / "tools.secrets.from_credential").write_text("3\n")
    loaded = load(
        tmp_path,
        RECADO_TOOLS__SECRETS__CHANGED="2",
        RECADO_TOOLS__SECRETS='{"whole": "2"}',
        CREDENTIALS_DIRECTORY=str(credentials),
    )
    secrets = loaded.settings.tools.secrets
    assert {name: one.get_secret_value() for name, one in secrets.items()} == {
        "from_file": "1",
        "changed": "2",
        "again": "3",
        "whole": "2",
        "from_credential": "3",
    }
    assert loaded.secrets["tools.secrets"]
    assert "1" not in repr(secrets["from_file"])
    file.write_text('[tools.secrets]\n"Not A Name" = "zebra"\n')
    with pytest.raises(SettingsError) as raised:
        load(tmp_path)
    assert "tools.secrets: must be a table of texts" in str(raised.value)
    assert "zebra" not in str(raised.value)


async def test_a_tool_gets_its_secret_and_shows_it_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "payments.py").write_text(TOOL)
    tools = {
        "folder": folder,
        "secrets": load(tmp_path, RECADO_TOOLS__SECRETS__CRM_KEY=SECRET).settings.tools.secrets,
    }
    async with open_scene(tmp_path, tools=tools) as stage:
        stage.model.script(call("pay"), call("other"), say("Listo."))
        await stage.gateway.customer_says(LAURA, "Pago", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        said = model_input(stage)
        assert any(f"{len(SECRET)} characters" in one for one in said)
        assert SECRET not in str(said)
        assert json.loads(said[-1]) == {"error": f"other failed ({ToolError.__name__})"}
        assert "tools.secrets.missing is not set" in stage.log.getvalue()
        assert SECRET not in stage.log.getvalue()
