-- The desk: whose a chat is, since when it has waited for a person without anybody looking (0: it has
-- not), notes of colleagues, prepared answers, and what an account wants to hear of.
ALTER TABLE chats ADD COLUMN assigned_to INTEGER;
ALTER TABLE chats ADD COLUMN unread_at REAL NOT NULL DEFAULT 0;
CREATE INDEX chats_assigned ON chats (assigned_to) WHERE assigned_to IS NOT NULL;
CREATE INDEX chats_unread ON chats (unread_at) WHERE unread_at > 0;

CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    -- The browser's id of the click that has made it.
    action TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    -- 1: the model reads it, too, as data.
    for_model INTEGER NOT NULL DEFAULT 0 CHECK (for_model IN (0, 1)),
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX notes_by_chat ON notes (channel, chat, id);

CREATE TABLE prepared_answers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

ALTER TABLE accounts ADD COLUMN notify INTEGER NOT NULL DEFAULT 0 CHECK (notify IN (0, 1));
ALTER TABLE accounts ADD COLUMN sound INTEGER NOT NULL DEFAULT 0 CHECK (sound IN (0, 1));
