"""Which tools of MCP servers are trusted: the hash of the list that an operator has seen."""

from dataclasses import dataclass

from daemon.domain.audit_chain import Actor
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, query, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class McpList:
    """The tools that a server lists."""

    server: str
    digest: str
    tools: str
    """JSON: names, descriptions and schemas."""
    seen_at: float
    trusted: bool
    """This very list; False if it has changed since."""
    was_trusted: bool
    """An earlier one, or this."""


def lists_of(connection: Connection) -> list[McpList]:
    """What the servers list, by their names."""
    rows = connection.execute(
        "SELECT server, digest, tools, seen_at, trusted FROM mcp_lists ORDER BY server"
    )
    return [
        McpList(
            server=row[0],
            digest=row[1],
            tools=row[2],
            seen_at=row[3],
            trusted=row[4] == row[1],
            was_trusted=row[4] != "",
        )
        for row in rows
    ]


def trust(connection: Connection, server: str, digest: str, *, by: Actor, now: float) -> bool:
    """Trust the list with this hash; False if the server lists others by now."""
    done = connection.execute(
        "UPDATE mcp_lists SET trusted = digest, trusted_at = ? WHERE server = ? AND digest = ?",
        (now, server, digest),
    )
    if done.rowcount:
        write_audit(connection, by, "trust tools", server, after=digest[:16], now=now)
    return bool(done.rowcount)


class McpLists(Role):
    """The lists of MCP servers. Written by the task of each server."""

    @query
    def trusted(self, connection: Connection, server: str, digest: str) -> bool | None:
        """Whether this list is trusted; None if it was not seen last."""
        row = connection.execute(
            "SELECT digest, trusted FROM mcp_lists WHERE server = ?", (server,)
        ).fetchone()
        return None if row is None or row[0] != digest else row[1] == digest

    @transaction
    def seen(
        self,
        connection: Connection,
        server: str,
        digest: str,
        tools: str,
        *,
        trusts_first: bool,
        now: float,
    ) -> bool:
        """Keep a new list; True if it is trusted: as before, or the first of a trusted server."""
        connection.execute(
            "INSERT INTO mcp_lists (server, digest, tools, seen_at, trusted) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (server) DO UPDATE SET digest = excluded.digest, tools = excluded.tools,"
            " seen_at = excluded.seen_at",
            (server, digest, tools, now, digest if trusts_first else ""),
        )
        row = connection.execute(
            "SELECT trusted FROM mcp_lists WHERE server = ?", (server,)
        ).fetchone()
        return bool(row[0] == digest)
