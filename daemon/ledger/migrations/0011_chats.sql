-- Our own numbers and lids, as our own messages show them: by these a group's mention of us is known.
CREATE TABLE own_ids (
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (channel, id)
) STRICT, WITHOUT ROWID;

-- Calls to our number, once each: that the thread knows of it, and when a polite line was said.
CREATE TABLE calls (
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    chat TEXT NOT NULL,
    noted_at REAL NOT NULL,
    replied_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_chat ON calls (channel, chat, replied_at);

-- What a group says among itself, which the model is told when it is addressed; and places that move.
CREATE INDEX messages_overheard ON messages (channel, chat, seq)
    WHERE reason = 'not addressed to us';
CREATE INDEX messages_live ON messages (channel, chat, received_at) WHERE kind = 'live_location';
CREATE INDEX messages_of_turns ON messages (channel, chat, seq) WHERE turn_id IS NOT NULL;

-- Raw bodies that held something that was to disappear: their files go with the next retention.
ALTER TABLE events ADD COLUMN doomed INTEGER NOT NULL DEFAULT 0 CHECK (doomed IN (0, 1));
CREATE INDEX events_doomed ON events (received_at) WHERE doomed = 1;
