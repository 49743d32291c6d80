-- Several nodes on one PostgreSQL: see daemon/ledger/drivers/postgres/ownership.py and
-- daemon/ledger/nodes.py. SQLite's file has one process, so these stay empty there.

-- Until when the owner has it, in Unix seconds of the server's clock.
ALTER TABLE numbers ADD COLUMN until REAL NOT NULL DEFAULT 0;

CREATE TABLE nodes (
    name TEXT NOT NULL PRIMARY KEY,
    process TEXT NOT NULL,
    state TEXT NOT NULL,
    version TEXT NOT NULL,
    seen_at REAL NOT NULL
) STRICT;

-- Webhook calls that a node without the lease has answered with 200. The owner takes them in.
CREATE TABLE waiting_calls (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL,
    event TEXT NOT NULL,
    body BLOB NOT NULL,
    received_at REAL NOT NULL
) STRICT;

-- Secrets that all nodes need, such as the key of the hashes of contacts.
CREATE TABLE shared_keys (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
