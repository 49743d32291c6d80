-- The labels of a chat as the gateway has last said: each name between newlines; empty if it has none.
ALTER TABLE chats ADD COLUMN labels TEXT NOT NULL DEFAULT '';
