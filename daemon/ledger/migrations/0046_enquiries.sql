-- An enquiry: what a customer wanted at one time, and what came of it; see daemon/domain/outcomes.py.
-- It outlives the chat: `chat` is empty then, and nothing of a person is left.
CREATE TABLE enquiries (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    day TEXT NOT NULL,
    topic TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT 'waiting'
        CHECK (outcome IN ('waiting', 'handed_over', 'automatic', 'unanswered')),
    reopened INTEGER NOT NULL DEFAULT 0 CHECK (reopened IN (0, 1)),
    began_at REAL NOT NULL,
    last_at REAL NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    first_answer_seconds REAL,
    -- Its first version, and what its turns have cost, in millionths.
    version_id INTEGER,
    micros INTEGER NOT NULL DEFAULT 0,
    -- 1 or -1 if the customer has said thanks, or reacted with a thumb.
    thanks INTEGER NOT NULL DEFAULT 0 CHECK (thanks IN (-1, 0, 1)),
    looked_at REAL NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1))
) STRICT;
CREATE INDEX enquiries_by_day ON enquiries (day, channel);
CREATE INDEX enquiries_by_chat ON enquiries (channel, chat, id);
CREATE INDEX enquiries_by_version ON enquiries (version_id) WHERE version_id IS NOT NULL;
CREATE INDEX enquiries_open ON enquiries (channel, looked_at) WHERE outcome = 'waiting';
CREATE INDEX enquiries_unsettled ON enquiries (channel, last_at) WHERE settled = 0;

-- Up to which message the enquiries of a number are known.
CREATE TABLE enquiry_marks (
    channel TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
