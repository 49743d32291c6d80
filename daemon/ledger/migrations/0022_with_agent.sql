-- Messages that wait for a person: the open state `with_agent`; see daemon.domain.transitions.handover.

-- 1 while the words of a message are in no thread, although no turn will put them there: a person
-- has closed it, or has the chat.
ALTER TABLE messages ADD COLUMN to_note INTEGER NOT NULL DEFAULT 0 CHECK (to_note IN (0, 1));

-- Since when a person is asked for by the model in a chat in which none has written since (0: nobody
-- is), and when the customer was told that none has come. Unix seconds.
ALTER TABLE chats ADD COLUMN escalated_at REAL NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN overdue_at REAL NOT NULL DEFAULT 0;

-- SQLite cannot change a CHECK by ALTER TABLE. Its text is replaced in the schema, which leaves the
-- rows as they are (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema
-- Changes"): a table of millions of messages is not rewritten.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(
    sql,
    'state IN (''received'', ''in_turn'', ''answered'', ''ignored'',',
    'state IN (''received'', ''in_turn'', ''with_agent'', ''answered'', ''ignored'','
) WHERE type = 'table' AND name = 'messages';
PRAGMA writable_schema = RESET;

CREATE INDEX messages_with_agent ON messages (channel, chat, seq) WHERE state = 'with_agent';
CREATE INDEX messages_to_note ON messages (channel, chat, seq) WHERE to_note = 1;
CREATE INDEX chats_escalated ON chats (escalated_at) WHERE escalated_at > 0;
