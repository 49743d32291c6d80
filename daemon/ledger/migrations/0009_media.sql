-- The files that people have sent: one row a message with one, from its arrival on. `file` lies in
-- the folder media/ beside the store, named by its hash, so two messages may share one. `words` is
-- what was heard in a voice note or read in a document; NULL while nobody has tried.
CREATE TABLE media (
    channel TEXT NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'stored', 'failed', 'gone')),
    reason TEXT NOT NULL DEFAULT '',
    file TEXT NOT NULL DEFAULT '',
    preview TEXT NOT NULL DEFAULT '',
    mime TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0,
    words TEXT,
    words_error TEXT NOT NULL DEFAULT '',
    wanted_at REAL NOT NULL,
    ended_at REAL,
    PRIMARY KEY (channel, message_id)
) STRICT;
CREATE INDEX media_by_file ON media (file) WHERE file != '';
CREATE INDEX media_by_preview ON media (preview) WHERE preview != '';
CREATE INDEX media_by_age ON media (wanted_at) WHERE state IN ('wanted', 'stored');
