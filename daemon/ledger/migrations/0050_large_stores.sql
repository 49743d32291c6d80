-- What pages, figures and housekeeping ask must not take longer in a large store.

-- The list of conversations, in its order.
DROP INDEX chats_by_activity;
CREATE INDEX chats_by_activity ON chats (last_activity_at, ref);
-- Responses that a server may still have.
CREATE INDEX responses_unfinished ON responses (response_id) WHERE state != 'completed';
CREATE INDEX reminders_ended ON reminders (created_at) WHERE state != 'waiting';
-- Chats by their id alone, as people name them.
CREATE INDEX chats_by_id ON chats (chat);
CREATE INDEX aliases_by_alias ON aliases (alias);
