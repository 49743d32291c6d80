-- The tools that an MCP server lists, and the list that an operator trusts, by its hash.
CREATE TABLE mcp_lists (
    server TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    tools TEXT NOT NULL,
    seen_at REAL NOT NULL,
    trusted TEXT NOT NULL DEFAULT '',
    trusted_at REAL
) STRICT;
