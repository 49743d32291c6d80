-- Since when a contact wants no messages that they have not asked for, when they were told what
-- becomes of their data, and when the person of this number was forgotten. Unix seconds, 0: never.
ALTER TABLE chats ADD COLUMN opted_out_at REAL NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN consent_at REAL NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN forgotten_at REAL NOT NULL DEFAULT 0;

-- What is still to be respected of somebody whose chat was erased: by a keyed hash, whose key lies
-- beside the store. The row goes back into the chat when they write again.
CREATE TABLE tombstones (
    contact TEXT PRIMARY KEY,
    opted_out_at REAL NOT NULL,
    forgotten_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
