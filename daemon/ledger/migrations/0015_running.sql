-- How the turns went and how the process ends: for people who look at it later. Nothing of it is
-- needed to answer anybody.

-- The stages of a turn as they began. They are written after the turn, so those of the moments before
-- a crash are missing; runs, responses, tool_calls and outbox tell that part. No words of anybody.
CREATE TABLE stages (
    id INTEGER PRIMARY KEY,
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    stage TEXT NOT NULL,
    at REAL NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX stages_by_turn ON stages (turn_id);
CREATE INDEX stages_by_age ON stages (at);

-- The process that has the store, and how the ones before it ended. A process that is killed cannot
-- say so: the next one sees that this row lacks its end.
CREATE TABLE process_life (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    started_at REAL NOT NULL,
    stopping_at REAL,
    stopped_at REAL
) STRICT;
CREATE TABLE process_ends (
    how TEXT PRIMARY KEY CHECK (how IN ('clean', 'forced', 'crashed')),
    count INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO process_ends (how) VALUES ('clean'), ('forced'), ('crashed');

-- Messages that were given up and not put back in since; they are counted every few seconds.
CREATE INDEX messages_dead ON messages (seq) WHERE state = 'dead';
