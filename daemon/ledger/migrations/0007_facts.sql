-- What a tool has said to the customer while it worked: each once, however often its call is made.
CREATE TABLE interim_messages (
    key TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    outbox_id INTEGER NOT NULL REFERENCES outbox (id),
    PRIMARY KEY (key, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX interim_by_outbox ON interim_messages (outbox_id);

-- Turns whose chat is handed to a person. The pause begins with the end of the turn, so that its
-- answer is still said. `outbox_id` is the message that tells the agents, if they have a chat.
CREATE TABLE escalations (
    turn_id INTEGER PRIMARY KEY REFERENCES turns (id),
    reason TEXT NOT NULL,
    summary TEXT NOT NULL,
    urgency TEXT NOT NULL CHECK (urgency IN ('low', 'normal', 'high')),
    pause_seconds REAL NOT NULL,
    outbox_id INTEGER REFERENCES outbox (id),
    created_at REAL NOT NULL
) STRICT;

-- What is remembered about a contact beyond the thread. `turn_id` is where it was learnt.
CREATE TABLE facts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    fact TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (channel, chat, fact)
) STRICT;

CREATE TRIGGER forgotten_escalations BEFORE INSERT ON escalations WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_facts BEFORE INSERT ON facts WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;
