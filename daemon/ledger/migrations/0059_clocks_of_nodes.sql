-- Versions since 58 go on with this step.
-- How many seconds the clock of a node's machine was ahead of the server's, at its last look; 0: they
-- are in step. On SQLite this table stays empty.
ALTER TABLE nodes ADD COLUMN clock_ahead INTEGER NOT NULL DEFAULT 0;
