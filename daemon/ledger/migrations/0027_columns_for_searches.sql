-- What searches need of a message, as columns: every database engine can read these, and JSON each in
-- its own way. SQLite computes them from `message` when they are read, so nothing is rewritten.
ALTER TABLE messages ADD COLUMN author TEXT
    GENERATED ALWAYS AS (json_extract(message, '$.author')) VIRTUAL;
ALTER TABLE messages ADD COLUMN content_type TEXT
    GENERATED ALWAYS AS (json_extract(message, '$.content.type')) VIRTUAL;
ALTER TABLE messages ADD COLUMN words TEXT GENERATED ALWAYS AS (
    COALESCE(json_extract(message, '$.content.body'), json_extract(message, '$.content.caption'), '')
) VIRTUAL;
