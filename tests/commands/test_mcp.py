"""`recado mcp`, asked by the official SDK's client beside a running daemon."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp
import pytest
import trio
from click.testing import CliRunner
from mcp.client.stdio import stdio_client
from support.model_script import say
from support.operator import recado_on
from support.place import VARIABLE, store_in, variables_of_store
from support.rows import count, select
from support.scenes import QUICK_RULES, found
from support.stage import LAURA, Stage, open_stage

from daemon.__main__ import main

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def assistant(
    data_dir: Path, *options: str, token: str = ""
) -> AsyncIterator[mcp.ClientSession]:
    """An operator's assistant that has started the command."""
    environ = {**os.environ, "RECADO_DATA_DIR": str(data_dir), **variables_of_store(data_dir)}
    environ |= {"RECADO_TOKEN": token} if token else {}
    environ.pop(VARIABLE, None)
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "daemon", "mcp", *options], env=environ, cwd=ROOT
    )
    async with (
        stdio_client(parameters, errlog=sys.__stderr__) as streams,  # type: ignore[arg-type]
        mcp.ClientSession(*streams) as session,
    ):
        await session.initialize()
        yield session


async def asked(session: mcp.ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await session.call_tool(tool, arguments)
    assert isinstance(result, mcp.types.CallToolResult)
    assert not result.is_error, result.content
    said: dict[str, Any] = result.structured_content or {}
    return said


async def answered(stage: Stage) -> None:
    stage.model.script(say("Sí, hay cupo."))
    await stage.gateway.customer_says(LAURA, "¿Hay cupo el viernes?", name="Laura")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()


async def test_an_assistant_reads_chats_and_figures_and_cannot_send(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data", rules=QUICK_RULES) as stage:
        await answered(stage)
        async with assistant(stage.settings.data_dir) as session:
            tools = [tool.name for tool in (await session.list_tools()).tools]
            assert tools == ["list_chats", "read_chat", "figures"]
            await found(lambda: count(stage.settings.data_dir, "search_texts") == 2)
            (chat,) = (await asked(session, "list_chats", query="viernes"))["chats"]
            assert (chat["name"], chat["last"]["text"]) == ("Laura", "Sí, hay cupo.")
            assert LAURA not in str(chat)
            assert (await asked(session, "list_chats", query="nobody"))["chats"] == []
            messages = (await asked(session, "read_chat", ref=chat["ref"]))["messages"]
            assert [(one["from"], one["text"]) for one in messages] == [
                ("customer", "¿Hay cupo el viernes?"),
                ("bot", "Sí, hay cupo."),
            ]
            assert "error" in await asked(session, "read_chat", ref="nobody")
            figures = await asked(session, "figures")
            assert figures["waiting"] == {"bot": 0, "person": 0, "operator": 0}


async def test_an_assistant_sends_where_the_operator_allows_it(tmp_path: Path) -> None:
    async with open_stage(
        tmp_path / "data", rules=QUICK_RULES, housekeeping={"sweep_seconds": 0.1}
    ) as stage:
        await answered(stage)
        async with assistant(stage.settings.data_dir, "--allow-send") as session:
            (chat,) = (await asked(session, "list_chats"))["chats"]
            sent = await asked(session, "send_message", ref=chat["ref"], text="Le esperamos.")
            assert sent["queued"] > 0
            assert "error" in await asked(session, "send_message", ref=chat["ref"], text=" ")
            assert "error" in await asked(session, "send_message", ref="nobody", text="Hola")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received()[-1] == "Le esperamos."
        assert ("send",) in select(stage.settings.data_dir, "audit", "action")


async def test_the_role_of_a_token_decides(tmp_path: Path) -> None:
    async with open_stage(
        tmp_path / "data", rules=QUICK_RULES, housekeeping={"sweep_seconds": 0.1}
    ) as stage:
        await answered(stage)
        data_dir = stage.settings.data_dir
        reader = await recado_on(data_dir, "token", "create", "reader", "--role", "read")
        async with assistant(data_dir, token=reader.stdout.strip()) as session:
            tools = [tool.name for tool in (await session.list_tools()).tools]
            assert tools == ["list_chats", "read_chat", "figures"]
        writer = await recado_on(data_dir, "token", "create", "writer", "--role", "agent")
        async with assistant(data_dir, token=writer.stdout.strip()) as session:
            (chat,) = (await asked(session, "list_chats"))["chats"]
            assert (await asked(session, "send_message", ref=chat["ref"], text="Hola"))["queued"]
            assert await asked(session, "close_chat", ref=chat["ref"]) == {"closed": 0}
            assert "error" in await asked(session, "close_chat", ref="nobody")
            await recado_on(data_dir, "token", "revoke", "writer")
            for tool, arguments in (("list_chats", {}), ("close_chat", {"ref": chat["ref"]})):
                refused = await session.call_tool(tool, arguments)
                assert isinstance(refused, mcp.types.CallToolResult)
                assert refused.is_error
        await stage.gateway.wait_sent(LAURA, 2)
        audited = select(data_dir, "audit", "actor", where={"action": ("send", "done")})
        assert audited == [("token writer",)], "closing what waits for nobody changes nothing"


def test_a_token_that_is_not_known_starts_nothing(tmp_path: Path) -> None:
    async def make() -> None:
        async with store_in(tmp_path):
            pass

    trio.run(make)
    environ = {"RECADO_DATA_DIR": str(tmp_path), **variables_of_store(tmp_path)}
    token = {"RECADO_TOKEN": "rcd_guessed"}
    result = CliRunner().invoke(main, ["mcp"], env=environ | token)
    assert (result.exit_code, "RECADO_TOKEN is no token" in result.stderr) == (2, True)
    assert "guessed" not in result.stderr
    both = CliRunner().invoke(main, ["mcp", "--allow-send"], env=environ | token)
    assert (both.exit_code, "leave --allow-send out" in both.stderr) == (2, True)


def test_without_a_store_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["mcp"], env={"RECADO_DATA_DIR": "none", VARIABLE: None})
    assert result.exit_code == 2
    assert "there is no store" in result.stderr
