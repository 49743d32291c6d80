-- A change is its author's: one that waits for its message keeps the chat and the author that it
-- came from. Edits that waited without them are let go.
CREATE TABLE changes_by_author (
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    chat TEXT NOT NULL,
    author TEXT NOT NULL,
    change TEXT NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (channel, target, chat, author)
) STRICT, WITHOUT ROWID;

INSERT INTO changes_by_author (channel, target, chat, author, change, received_at)
    SELECT channel, target, '', '', change, received_at FROM early_changes
    WHERE json_extract(change, '$.type') = 'deletion';

DROP TABLE early_changes;

ALTER TABLE changes_by_author RENAME TO early_changes;

CREATE INDEX early_changes_by_chat ON early_changes (channel, chat, received_at);

CREATE INDEX early_changes_by_age ON early_changes (received_at);
