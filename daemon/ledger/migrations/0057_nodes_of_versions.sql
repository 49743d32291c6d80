-- Versions since 56 go on with this step.
-- Which tables a node knows; 0: it is of an earlier version. On SQLite this table stays empty.
ALTER TABLE nodes ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 0;
