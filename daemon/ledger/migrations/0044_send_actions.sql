-- The name of the click or request that an agent's message comes from: it is queued once.
ALTER TABLE outbox ADD COLUMN action TEXT NOT NULL DEFAULT '';
CREATE INDEX outbox_by_action ON outbox (action) WHERE action != '';
