-- What the dashboard shows beside the ledger. All of it is bounded, and none of it is needed to
-- answer anybody.

-- The lines of the live log, as they were shown. Ids only grow, over restarts too: a process counts
-- from a number that no earlier one can have reached.
CREATE TABLE log_lines (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    channel TEXT NOT NULL DEFAULT '',
    chat TEXT NOT NULL DEFAULT '',
    turn TEXT NOT NULL DEFAULT '',
    symbol TEXT NOT NULL DEFAULT '',
    line TEXT NOT NULL
) STRICT;
CREATE INDEX log_lines_by_chat ON log_lines (chat, channel, id) WHERE chat != '';

CREATE TABLE log_starts (number INTEGER PRIMARY KEY) STRICT;

-- The daemon's figures, one row a minute: counts are of that minute (JSON).
CREATE TABLE samples (
    at REAL PRIMARY KEY,
    figures TEXT NOT NULL
) STRICT;

-- Who is signed in. `name` is a keyed hash of what the browser holds.
CREATE TABLE dashboard_sessions (
    name TEXT PRIMARY KEY,
    ends_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
