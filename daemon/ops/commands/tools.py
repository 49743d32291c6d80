"""`recado tools`: the tools the model may call, and trying one."""

import inspect
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import click
import trio

from daemon.conversation.config_loader import toolbox_of
from daemon.domain.ids import chat_of
from daemon.domain.messages import ChatKey, FunctionCall, JsonObject
from daemon.errors import StoreError, ToolError
from daemon.ledger.mcp import McpList, lists_of, trust
from daemon.ops.commands.place import (
    CONFIG,
    CommandFailure,
    NotDone,
    failures,
    os_actor,
    place_of,
    read_settings,
)
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of
from daemon.tools import builtin_tools
from daemon.tools.tool import Conversation, Tool, ToolContext
from daemon.tools.toolbox import Toolbox

EXAMPLE = """\b
Example:
  recado tools requirements
  recado tools trust crm
  recado tools call check_availability '{"arrival": "2026-12-24", "nights": 2}'
"""

TRUSTED = "trusted"
NOT_SEEN: JsonObject = {"name": "?", "description": "", "schema": {}}
"""Stands for the tools of a server of which the daemon has no list."""

CHAT = ChatKey("RECADO-TOOLS", chat_of("573001234567"))
"""The conversation in which a tool is tried."""


class Tools(NamedTuple):
    """All tools of a configuration, and its language."""

    toolbox: Toolbox
    language: str


class SeenTool(NamedTuple):
    """A tool of an MCP server, as the daemon saw it last."""

    name: str
    origin: str
    effects: bool
    timeout: float
    trust: str
    """``trusted``, ``changed`` since it was, ``not trusted``, or ``not seen yet``."""
    description: str
    parameters: Mapping[str, Any]


@click.group(name="tools", invoke_without_command=True, epilog=EXAMPLE)
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the schema.")
@click.pass_context
def tools_command(context: click.Context, /, *, config: Path | None, as_json: bool) -> None:
    """List the tools, built-in, your own and those of MCP servers, or try one.

    The tools of a server are those that the daemon saw last; they are offered to the model if this
    list is trusted. Exit status 2 if the configuration or a tool module cannot be loaded.
    """
    settings = read_settings(config)
    if context.invoked_subcommand in {"requirements", "trust"}:
        context.obj = settings  # what the modules import may not be installed yet
        return
    context.obj = _load(settings)
    if context.invoked_subcommand is None:
        _list(context.obj.toolbox, _remote_tools(settings), as_json=as_json)


@tools_command.command(name="requirements")
@click.pass_obj
def requirements_command(settings: Settings) -> None:
    """Print the file of tools.requirements, which `make install` installs; nothing without one.

    Exit status 2 if there is no such file.
    """
    path = settings.tools.requirements
    if path is not None and not path.is_file():
        raise CommandFailure(f"tools.requirements: there is no file {path}")
    if path is not None:
        click.echo(path)


@tools_command.command(name="trust")
@click.argument("server", required=False)
@click.option("--yes", is_flag=True, help="Trust without asking.")
@click.pass_obj
def trust_command(settings: Settings, *, server: str | None, yes: bool) -> None:
    """Trust the tools that the MCP server SERVER lists now; without SERVER, show all lists.

    Only this very list is offered to the model. If the server changes a name, a description or a
    schema, all of its tools are withdrawn until the new list is trusted. Exit status 2 if the
    daemon has not seen a list of this server.
    """
    with failures():
        place = place_of(settings)
        with place.reading() as connection:
            known = [one for one in lists_of(connection) if server in {None, one.server}]
        if server is not None and not known:
            raise CommandFailure(f"no list of tools of {server} is known: the daemon reads it")
        for one in known:
            click.echo(f"{one.server}: {_trust_of(one)}, {one.digest[:16]}")
            for tool in json.loads(one.tools):
                click.echo(f"  {_seen(tool['name'])}: {_seen(tool['description'])}")
                click.echo(f"    {_seen(json.dumps(tool['schema'], ensure_ascii=False))}")
        if server is None or known[0].trusted:
            return
        if not yes:
            click.confirm("Offer these tools to the model?", abort=True, err=True)
        with place.writing() as connection:
            if not trust(connection, server, known[0].digest, by=os_actor(), now=time.time()):
                raise NotDone("the server lists other tools by now: look at them again")
    click.echo("trusted; the daemon offers them within seconds")


@tools_command.command(name="call")
@click.argument("name")
@click.argument("arguments", default="{}")
@click.option("--name", "contact", default="Laura", help="Name of the invented contact.")
@click.option("--key", default="recado-tools-call", help="Idempotency key of the call.")
@click.option("--yes", is_flag=True, help="Call a tool with effects without asking.")
@click.pass_obj
def call_command(
    tools: Tools, *, name: str, arguments: str, contact: str, key: str, yes: bool
) -> None:
    """Call the tool NAME with ARGUMENTS, a JSON object, in an invented conversation.

    What the model would get goes to stdout. What the tool says to the customer, or does to the
    conversation, is only printed, to stderr. Its other effects are real. Exit status 1 if
    the call fails.
    """
    tool = next((tool for tool in tools.toolbox.all_tools if tool.name == name), None)
    if tool is None:
        raise CommandFailure(f"there is no tool {name}; `recado tools` lists them")
    if tool.effects and not yes:
        click.confirm(f"{name} has effects, which will be real. Call it?", abort=True, err=True)
    context = ToolContext(
        key=CHAT,
        contact_name=contact,
        language=tools.language,
        idempotency_key=key,
        recent_messages=_no_messages,
        conversation=cast("Conversation", ShownConversation()),
        secrets=tools.toolbox.secrets,
    )
    asked = FunctionCall(call_id="call_by_hand", name=name, arguments=arguments)
    # A toolbox of its own, so that a disabled tool can be tried too.
    output, failed = trio.run(
        Toolbox([replace(tool, enabled=True)], on_fault=_show_fault).call, asked, context
    )
    click.echo(output)
    if failed:
        raise NotDone(f"{name} failed")


class ShownConversation:
    """Stands for a `daemon.tools.tool.Conversation`: every action is shown and counts as done."""

    def __getattr__(self, action: str) -> Callable[..., Awaitable[Any]]:
        """Return an action that shows its arguments. Raises AttributeError if there is none."""
        kind = inspect.signature(getattr(Conversation, action)).return_annotation

        async def show(*arguments: object, **named: object) -> Any:
            shown = [*map(str, arguments), *(f"{name}={value}" for name, value in named.items())]
            _show(f"{action}: {', '.join(shown)}")
            return 1 if kind is int else kind is bool or kind()

        return show


def _show(words: str) -> bool:
    click.echo(words, err=True)
    return True


def _show_fault(name: str, error: Exception) -> None:
    _show(f"{name} raised {type(error).__name__}: {error}")


async def _no_messages(_key: ChatKey, _count: int) -> list[str]:
    return []


def _load(settings: Settings) -> Tools:
    try:
        return Tools(toolbox_of(settings), settings.language)
    except ToolError as error:
        raise CommandFailure(str(error)) from error


def _list(toolbox: Toolbox, remote: Sequence[SeenTool], *, as_json: bool) -> None:
    if as_json:
        described = [_described(tool, toolbox) for tool in toolbox.all_tools]
        for line in (*described, *(tool._asdict() for tool in remote)):
            click.echo(json.dumps(line, ensure_ascii=False))
        return
    rows = [("NAME", "FROM", "EFFECTS", "TIMEOUT", "AT ONCE", "ENABLED")]
    for tool in toolbox.all_tools:
        effects = "no"
        if tool.effects:
            effects = "idempotent" if tool.idempotent else "yes"
        enabled = "yes" if toolbox.is_enabled(tool.name) else "no"
        at_once = str(tool.concurrency or "any")
        rows.append((tool.name, _origin(tool), effects, f"{tool.timeout:g} s", at_once, enabled))
    for one in remote:
        effects = "yes" if one.effects else "no"
        enabled = "yes" if one.trust == TRUSTED else one.trust
        rows.append((one.name, one.origin, effects, f"{one.timeout:g} s", "any", enabled))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _remote_tools(settings: Settings) -> list[SeenTool]:
    """The tools of the configured MCP servers, as far as the daemon has seen them."""
    servers = {
        one.name: one for number in numbers_of(settings).values() for one in number.tools.mcp
    }
    if not servers:
        return []
    known: dict[str, McpList] = {}
    with suppress(StoreError), place_of(settings).reading() as connection:
        known = {one.server: one for one in lists_of(connection)}
    return [
        SeenTool(
            name=f"{name}__{tool['name']}",
            origin=f"MCP {name}",
            effects=tool["name"] not in server.read_only,
            timeout=server.timeout_seconds,
            trust=_trust_of(known[name]) if name in known else "not seen yet",
            description=tool["description"],
            parameters=tool["schema"],
        )
        for name, server in servers.items()
        for tool in (json.loads(known[name].tools) if name in known else [NOT_SEEN])
    ]


def _seen(text: str) -> str:
    """What a server says, on one line; characters that do not show are written out."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def _trust_of(one: McpList) -> str:
    return TRUSTED if one.trusted else "changed" if one.was_trusted else "not trusted"


def _origin(tool: Tool) -> str:
    return "built in" if tool.origin == builtin_tools.__name__ else tool.origin


def _described(tool: Tool, toolbox: Toolbox) -> dict[str, object]:
    return {
        "name": tool.name,
        "origin": _origin(tool),
        "effects": tool.effects,
        "idempotent": tool.idempotent,
        "timeout": tool.timeout,
        "concurrency": tool.concurrency,
        "enabled": toolbox.is_enabled(tool.name),
        "description": tool.spec.description,
        "parameters": tool.spec.parameters,
    }
