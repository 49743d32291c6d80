-- SQLite uses a partial index only where the query repeats its condition word by word. Without
-- these two, each turn would read every message of its channel, and each echo and each status
-- every send there has ever been.
CREATE INDEX messages_waiting ON messages (channel, chat, seq) WHERE state = 'received';
DROP INDEX outbox_by_message;
CREATE INDEX outbox_by_message ON outbox (message_id);
