-- Which process writes for each number of ours, and how often that has changed: PostgreSQL's fence,
-- see daemon/ledger/drivers/postgres/ownership.py. SQLite's file has a lock.
CREATE TABLE numbers (
    number TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL
) STRICT;
