-- What became of our sends at WhatsApp. `outbox.status` is the furthest that was told of it; failed
-- counts least, then pending, sent, delivered, read, played. Times are WhatsApp's, Unix seconds.
ALTER TABLE outbox ADD COLUMN delivered_at REAL;
ALTER TABLE outbox ADD COLUMN read_at REAL;

-- Each attempt that WhatsApp took and could not deliver, by the id that it had. Its row is said once
-- more, under another id; by this one it is known that it did arrive after all.
CREATE TABLE send_failures (
    message_id TEXT NOT NULL PRIMARY KEY,
    outbox_id INTEGER NOT NULL REFERENCES outbox (id),
    error TEXT NOT NULL,
    failed_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX send_failures_by_row ON send_failures (outbox_id);

-- Statuses that came before the answer to their send, while a send was under way: they wait here
-- for its id.
CREATE TABLE early_statuses (
    channel TEXT NOT NULL,
    message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    at REAL NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (message_id, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX early_statuses_by_age ON early_statuses (received_at);

-- The sends of which nobody knows yet whether they went out: asked for at every status of a message
-- that is not known.
CREATE INDEX outbox_in_flight ON outbox (channel) WHERE state IN ('sending', 'unknown');
