-- Instructions and texts that people edit in the dashboard. The newest version of a number's text is at
-- work in place of the file's; one without a text gives the file's back.
CREATE TABLE text_versions (
    id INTEGER PRIMARY KEY,
    number TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Counted from 1 for each text: of two editors the second finds the place taken.
    revision INTEGER NOT NULL,
    text TEXT,
    -- The hash of the text, as `versions.instructions` has it; empty without a text.
    digest TEXT NOT NULL,
    -- The hash of the file's text at that time.
    file_digest TEXT NOT NULL,
    author TEXT NOT NULL,
    saved_at REAL NOT NULL,
    UNIQUE (number, name, revision)
) STRICT;
