-- What is to be sent to a contact at a time: a reminder that was asked for, or a follow-up by a rule.
CREATE TABLE reminders (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('reminder', 'followup')),
    -- The call of the tool, the click, or the turn and rule that have made it.
    key TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL,
    due_at REAL NOT NULL,
    -- What ends it before: 'reply', 'agent', both with a space between, or nothing.
    cancel_on TEXT NOT NULL DEFAULT '',
    open_hours INTEGER NOT NULL DEFAULT 0 CHECK (open_hours IN (0, 1)),
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sent', 'cancelled', 'expired')),
    reason TEXT NOT NULL DEFAULT '',
    outbox_id INTEGER REFERENCES outbox (id),
    created_at REAL NOT NULL,
    ended_at REAL
) STRICT;
CREATE INDEX reminders_waiting ON reminders (due_at) WHERE state = 'waiting';
CREATE INDEX reminders_by_chat ON reminders (channel, chat, created_at);
