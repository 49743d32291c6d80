-- What answers were made with: a row for each distinct configuration. The parts are hashes.
CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    instructions TEXT NOT NULL,
    tools TEXT NOT NULL,
    validators TEXT NOT NULL,
    knowledge TEXT NOT NULL,
    model TEXT NOT NULL,
    model_name TEXT NOT NULL,
    text TEXT NOT NULL,
    first_at REAL NOT NULL
) STRICT;
-- The version that the last run of a turn was begun with.
ALTER TABLE turns ADD COLUMN version_id INTEGER;
