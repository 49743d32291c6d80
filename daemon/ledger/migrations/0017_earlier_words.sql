-- What an edited message said before: a JSON list of {"words", "until"}, the oldest first, bounded
-- by daemon.ledger.messages. It is for people who look into the chat; the model is told the newest.
ALTER TABLE messages ADD COLUMN earlier TEXT NOT NULL DEFAULT '[]';
