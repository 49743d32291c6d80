-- Contact cards and polls may be sent too. SQLite cannot change the check of a column, so `kind` is
-- made anew; the trigger would refuse that for the rows of forgotten persons.
DROP TRIGGER forgotten_outbox;
ALTER TABLE outbox ADD COLUMN new_kind TEXT NOT NULL DEFAULT 'text' CHECK (new_kind IN
    ('text', 'voice', 'image', 'document', 'location', 'contact', 'buttons', 'list', 'poll',
    'reaction'));
UPDATE outbox SET new_kind = kind WHERE kind != 'text';
ALTER TABLE outbox DROP COLUMN kind;
ALTER TABLE outbox RENAME COLUMN new_kind TO kind;
CREATE TRIGGER forgotten_outbox BEFORE UPDATE ON outbox WHEN OLD.chat GLOB 'forgotten-*'
BEGIN SELECT RAISE(ABORT, 'the person of this outbox row was forgotten'); END;
