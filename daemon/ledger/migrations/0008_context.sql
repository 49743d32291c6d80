-- What the model knows of a conversation besides its newest turns.

-- When it was last told the date and who it talks to, and whom it was told (JSON; empty: never).
ALTER TABLE chats ADD COLUMN context_at REAL NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN context_text TEXT NOT NULL DEFAULT '';

-- Tokens as the server counts them, for each token of our own estimate.
ALTER TABLE chats ADD COLUMN token_ratio REAL NOT NULL DEFAULT 1;

-- When the messages from before Recado were put into the thread; 0 if they were not.
ALTER TABLE chats ADD COLUMN imported_at REAL NOT NULL DEFAULT 0;

-- Where the shown part of a thread begins: items up to `up_to` are kept, but not told any more.
-- `item` is told in their place; empty if they were only dropped.
CREATE TABLE thread_heads (
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    up_to INTEGER NOT NULL,
    item TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (channel, chat)
) STRICT, WITHOUT ROWID;
