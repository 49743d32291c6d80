-- Numbers are spread over the nodes of a cluster: see daemon/ledger/drivers/postgres/ownership.py.
-- A node has one lease; ``numbers`` says which numbers it owns. On SQLite these tables stay empty.
DROP TABLE nodes;
CREATE TABLE nodes (
    process TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Until when nobody else may take what it owns, in Unix seconds of the server's clock.
    until REAL NOT NULL,
    renewed_at REAL NOT NULL
) STRICT;

ALTER TABLE numbers DROP COLUMN until;

-- What an operator wants of a number that another node owns; its owner does it, once.
CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL,
    chat TEXT NOT NULL,
    operation TEXT NOT NULL,
    -- JSON; empty once it is done.
    arguments TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'begun', 'done')),
    -- JSON, of a command that is done.
    result TEXT NOT NULL DEFAULT '',
    asked_at REAL NOT NULL
) STRICT;
CREATE INDEX commands_open ON commands (number, id) WHERE state != 'done';

-- How the last process of each node ended; on SQLite there is one, without a name.
CREATE TABLE process_lives (
    node TEXT NOT NULL PRIMARY KEY,
    started_at REAL NOT NULL,
    stopping_at REAL,
    stopped_at REAL
) STRICT;
INSERT INTO process_lives (node, started_at, stopping_at, stopped_at)
    SELECT '', started_at, stopping_at, stopped_at FROM process_life;
DROP TABLE process_life;
