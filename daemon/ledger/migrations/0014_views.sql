-- What the dashboard needs of the tables that the daemon itself can do without.

-- The name of a chat in the dashboard's addresses: they stand in histories and screenshots, and
-- are not to tell a phone number. A forgotten person's chat gets another one.
ALTER TABLE chats ADD COLUMN ref TEXT NOT NULL DEFAULT '';
UPDATE chats SET ref = lower(hex(randomblob(8)));
CREATE UNIQUE INDEX chats_by_ref ON chats (ref);

CREATE TRIGGER chats_named AFTER INSERT ON chats WHEN NEW.ref = '' BEGIN
    UPDATE chats SET ref = lower(hex(randomblob(8)))
        WHERE channel = NEW.channel AND chat = NEW.chat;
END;

CREATE TRIGGER chats_renamed AFTER UPDATE OF chat ON chats WHEN NEW.chat != OLD.chat BEGIN
    UPDATE chats SET ref = lower(hex(randomblob(8)))
        WHERE channel = NEW.channel AND chat = NEW.chat;
END;

-- Who of the business said it, of what was written in the dashboard; empty for the bot's words.
-- Such a row is sent although the bot keeps out of the chat.
ALTER TABLE outbox ADD COLUMN author TEXT NOT NULL DEFAULT '';

-- One conversation is read from its end backwards, and turns by the name they have in the log. The
-- first column is an expression on purpose: an index that begins with the chat itself would be
-- taken by SQLite for the small partial indexes that the daemon's own searches go by.
CREATE INDEX messages_told ON messages (channel || '/' || chat, seq);
CREATE INDEX turns_told ON turns (channel || '/' || chat, id);
CREATE INDEX turns_by_request ON turns (request_id);

-- What has gone wrong, which is little.
CREATE INDEX turns_dead ON turns (channel, chat, id) WHERE outcome = 'dead';
CREATE INDEX outbox_failed ON outbox (channel, chat, id) WHERE state = 'failed';
CREATE INDEX events_unreadable ON events (id) WHERE unreadable != '';
CREATE INDEX turns_expired ON turns (closed_at) WHERE outcome = 'expired';
