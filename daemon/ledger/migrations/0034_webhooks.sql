-- Which outgoing webhooks want which events, of which number ('' for all): from the configuration.
CREATE TABLE webhook_subscriptions (
    event TEXT NOT NULL,
    number TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    PRIMARY KEY (event, number, endpoint)
) STRICT, WITHOUT ROWID;

-- One event for one endpoint, written with the fact that it announces. The payload of a delivered one
-- is empty.
CREATE TABLE webhook_deliveries (
    id INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL,
    -- The same for all endpoints and all attempts.
    webhook_id TEXT NOT NULL,
    event TEXT NOT NULL,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    tries INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    next_at REAL NOT NULL,
    ended_at REAL,
    UNIQUE (endpoint, webhook_id)
) STRICT;
CREATE INDEX webhooks_pending ON webhook_deliveries (endpoint, next_at) WHERE state = 'pending';
CREATE INDEX webhooks_dead ON webhook_deliveries (id) WHERE state = 'dead';
CREATE INDEX webhooks_by_chat ON webhook_deliveries (channel, chat);
CREATE INDEX webhooks_by_age ON webhook_deliveries (created_at);
