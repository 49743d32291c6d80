-- When the customer of a chat last wrote, Unix seconds, 0 for never: some gateways take only templates
-- a day after that.
ALTER TABLE chats ADD COLUMN customer_wrote_at REAL NOT NULL DEFAULT 0;
