-- Messages that are more than words. `body` holds what is said in words: the text, what a voice note
-- says, the caption of a picture, the question above buttons.
ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'text' CHECK (kind IN
    ('text', 'voice', 'image', 'document', 'location', 'buttons', 'list', 'reaction'));
-- What else its kind needs, a JSON object: file or address, coordinates, buttons, the message that
-- is reacted to. A text that was to be a voice note says so here.
ALTER TABLE outbox ADD COLUMN payload TEXT NOT NULL DEFAULT '{}';
