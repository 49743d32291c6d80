-- What the people of the business are told outside of WhatsApp, once for each reason and subject.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('escalation', 'waiting', 'channel', 'budget', 'model')),
    subject TEXT NOT NULL,
    -- The chat that it is about, if it is about one.
    channel TEXT NOT NULL DEFAULT '',
    chat TEXT NOT NULL DEFAULT '',
    -- Empty once it is told.
    line TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    -- The targets that have taken it, by a hash of their address.
    reached TEXT NOT NULL DEFAULT '[]',
    tries INTEGER NOT NULL DEFAULT 0,
    noted_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    next_at REAL NOT NULL,
    UNIQUE (reason, subject)
) STRICT;
CREATE INDEX notifications_pending ON notifications (next_at) WHERE state = 'pending';
