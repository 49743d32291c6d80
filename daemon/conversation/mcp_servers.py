"""The MCP servers of a process: each different one once, whatever numbers use it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from pydantic import SecretStr

from daemon.errors import SettingsError
from daemon.ledger.mcp import McpLists
from daemon.observability.logs import Log
from daemon.settings import Settings
from daemon.settings.assistant import McpServerSettings
from daemon.settings.numbers import numbers_of
from daemon.tools.mcp_client import (
    Approve,
    ListedTool,
    McpServer,
    is_installed,
    secrets_named,
)
from daemon.tools.tool import Tool


class McpServers:
    """Made by the composer. Each server has a task of its own, which runs `McpServer.run`."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Raises SettingsError if two different servers have one name, or the SDK is missing."""
        self._servers: dict[str, McpServer] = {}
        for fault in mcp_faults(settings):
            raise SettingsError([fault])
        for number in numbers_of(settings).values():
            for one in number.tools.mcp:
                self._servers.setdefault(one.name, McpServer(one, number.tools.secrets, log))

    def __iter__(self) -> Iterator[McpServer]:
        """Give each server once."""
        return iter(self._servers.values())

    def tools_of(self, used: Sequence[McpServerSettings]) -> Callable[[], Mapping[str, Tool]]:
        """What these servers offer at the moment of each call, by name."""
        servers = [self._servers[one.name] for one in used if one.name in self._servers]
        if not servers:
            return dict

        def offered() -> dict[str, Tool]:
            return {name: tool for server in servers for name, tool in server.tools.items()}

        return offered


def mcp_faults(settings: Settings) -> list[str]:
    """Why the servers of a configuration cannot be used."""
    known: dict[str, tuple[McpServerSettings, Mapping[str, SecretStr | None]]] = {}
    faults = []
    for number in numbers_of(settings).values():
        for one in number.tools.mcp:
            secrets = {name: number.tools.secrets.get(name) for name in secrets_named(one)}
            faults += [
                f"tools.mcp: {one.name} names tools.secrets.{name}, which is not set"
                for name in sorted(secrets)
                if secrets[name] is None
            ]
            # A session is shared: another number's secret would speak for this one.
            if known.setdefault(one.name, (one, secrets)) != (one, secrets):
                faults.append(f"tools.mcp: two different servers are called {one.name}")
    if known and not is_installed():
        faults.append("tools.mcp: needs the SDK: pip install 'recado[mcp]'")
    return list(dict.fromkeys(faults))


def approval(lists: McpLists, now: Callable[[], float]) -> Approve:
    """Say whether a list of tools is trusted, by the ledger; new lists are kept there."""

    async def approve(server: McpServerSettings, digest: str, listed: Sequence[ListedTool]) -> bool:
        known = await lists.trusted(server.name, digest)
        if known is not None:
            return known
        tools = msgspec.json.encode(listed).decode()
        return await lists.seen(server.name, digest, tools, trusts_first=server.trust, now=now())

    return approve
