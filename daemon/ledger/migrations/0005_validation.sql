-- What validation said of an answer: a JSON list of [validator, verdict], without those that had
-- nothing to say; and the note with which the model was asked again, if it was.
ALTER TABLE responses ADD COLUMN validation TEXT NOT NULL DEFAULT '';
ALTER TABLE responses ADD COLUMN note TEXT NOT NULL DEFAULT '';
-- When the model was last asked again in a chat: it is done only so often.
ALTER TABLE chats ADD COLUMN validated_at REAL NOT NULL DEFAULT 0;
