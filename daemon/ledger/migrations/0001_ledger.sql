-- The ledger: from these tables the whole life of a message can be told.
-- Times are Unix seconds (UTC). States are words, checked here, so that a bug cannot invent one.

-- One webhook call as it arrived. Bodies too large for a row lie in a file beside the store.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    received_at REAL NOT NULL,
    channel TEXT NOT NULL,
    event TEXT NOT NULL,
    body BLOB,
    body_file TEXT NOT NULL DEFAULT '',
    unreadable TEXT NOT NULL DEFAULT ''
) STRICT;

-- One conversation; its thread is in thread_items.
CREATE TABLE chats (
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    contact_name TEXT NOT NULL DEFAULT '',
    first_seen_at REAL NOT NULL,
    last_activity_at REAL NOT NULL,
    paused_until REAL NOT NULL DEFAULT 0,
    apologised_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, chat)
) STRICT, WITHOUT ROWID;

-- One burst and what was done about it. A turn lives through crashes and retries until it has an
-- outcome; a chat has at most one that lives.
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'delivering', 'done')),
    outcome TEXT NOT NULL DEFAULT ''
        CHECK (outcome IN ('', 'answered', 'ignored', 'handed_off', 'expired', 'dead')),
    reason TEXT NOT NULL DEFAULT '',
    request_id TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    superseded INTEGER NOT NULL DEFAULT 0,
    quotes INTEGER NOT NULL DEFAULT 0 CHECK (quotes IN (0, 1)),
    opened_at REAL NOT NULL,
    concluded_at REAL,
    closed_at REAL
) STRICT;
CREATE UNIQUE INDEX one_living_turn ON turns (channel, chat) WHERE state != 'done';

-- One WhatsApp message, once.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    chat TEXT NOT NULL,
    event_id INTEGER NOT NULL REFERENCES events (id),
    kind TEXT NOT NULL,
    from_me INTEGER NOT NULL CHECK (from_me IN (0, 1)),
    message TEXT NOT NULL,
    sent_at REAL NOT NULL,
    received_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('received', 'in_turn', 'answered', 'ignored', 'handed_off', 'expired', 'dead')
    ),
    reason TEXT NOT NULL DEFAULT '',
    turn_id INTEGER REFERENCES turns (id),
    duplicates INTEGER NOT NULL DEFAULT 0,
    edited_at REAL,
    deleted_at REAL,
    UNIQUE (channel, id)
) STRICT;
CREATE INDEX messages_open ON messages (channel, chat, seq) WHERE state IN ('received', 'in_turn');
CREATE INDEX messages_by_turn ON messages (turn_id);

-- Edits and deletions that came before their message: they wait for it here.
CREATE TABLE early_changes (
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    change TEXT NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (channel, target)
) STRICT, WITHOUT ROWID;

-- One call cycle of the model in a turn. A run continues over retries; a superseded one does not.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    state TEXT NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'completed', 'superseded', 'abandoned')),
    started_at REAL NOT NULL,
    ended_at REAL
) STRICT;
CREATE UNIQUE INDEX one_running_run ON runs (turn_id) WHERE state = 'running';

-- One call of the model. With a response_id it can be found again at the server after a crash.
CREATE TABLE responses (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    round INTEGER NOT NULL,
    response_id TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'started' CHECK (state IN ('started', 'completed', 'failed')),
    response TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    calls INTEGER NOT NULL DEFAULT 1,
    started_at REAL NOT NULL,
    ended_at REAL,
    PRIMARY KEY (run_id, round)
) STRICT, WITHOUT ROWID;

-- One tool call: written before it starts and after it ends.
CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    round INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    effects INTEGER NOT NULL CHECK (effects IN (0, 1)),
    key TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'started' CHECK (state IN ('started', 'finished', 'failed')),
    output TEXT NOT NULL DEFAULT '',
    started_at REAL NOT NULL,
    ended_at REAL
) STRICT;
CREATE INDEX tool_calls_by_turn ON tool_calls (turn_id, key);

-- Everything Recado says, decided before it is sent.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    turn_id INTEGER REFERENCES turns (id),
    body TEXT NOT NULL,
    quoted TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'sending', 'sent', 'unknown', 'failed', 'dropped')),
    message_id TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    attempted_at REAL,
    sent_at REAL
) STRICT;
CREATE INDEX outbox_open ON outbox (channel, chat, id)
    WHERE state IN ('pending', 'sending', 'unknown');
CREATE INDEX outbox_by_turn ON outbox (turn_id);
CREATE INDEX outbox_by_message ON outbox (message_id) WHERE message_id != '';
CREATE INDEX outbox_by_chat ON outbox (channel, chat, id);

-- The thread of a chat as the model is told it: items of the Responses API.
CREATE TABLE thread_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    turn_id INTEGER REFERENCES turns (id),
    item TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE INDEX thread_by_chat ON thread_items (channel, chat, id);
