-- What operators have done to the store from the command line. `subject` is what it was done to: a
-- message id, an event's number, a chat. Never a text.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    command TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject);

-- The events whose raw body is still kept, by age: retention looks only at these.
CREATE INDEX events_with_body ON events (received_at) WHERE body IS NOT NULL OR body_file != '';
CREATE INDEX events_by_file ON events (body_file) WHERE body_file != '';

-- Nothing more is written about a person who was forgotten, not even by a daemon that was at work
-- on their turn at that moment: its next write is refused, which ends that work.
CREATE TRIGGER forgotten_turns BEFORE UPDATE ON turns WHEN OLD.chat GLOB 'forgotten-*'
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_messages BEFORE UPDATE ON messages WHEN OLD.chat GLOB 'forgotten-*'
BEGIN SELECT RAISE(ABORT, 'the person of this message was forgotten'); END;

CREATE TRIGGER forgotten_outbox BEFORE UPDATE ON outbox WHEN OLD.chat GLOB 'forgotten-*'
BEGIN SELECT RAISE(ABORT, 'the person of this outbox row was forgotten'); END;

CREATE TRIGGER forgotten_outbox_parts BEFORE INSERT ON outbox WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_thread_items BEFORE INSERT ON thread_items WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_runs BEFORE INSERT ON runs WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_responses BEFORE INSERT ON responses WHEN EXISTS (
    SELECT 1 FROM runs JOIN turns ON turns.id = runs.turn_id
    WHERE runs.id = NEW.run_id AND turns.chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this run was forgotten'); END;

CREATE TRIGGER forgotten_answers BEFORE UPDATE ON responses WHEN EXISTS (
    SELECT 1 FROM runs JOIN turns ON turns.id = runs.turn_id
    WHERE runs.id = NEW.run_id AND turns.chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this run was forgotten'); END;

CREATE TRIGGER forgotten_tool_calls BEFORE INSERT ON tool_calls WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;

CREATE TRIGGER forgotten_outputs BEFORE UPDATE ON tool_calls WHEN EXISTS (
    SELECT 1 FROM turns WHERE id = NEW.turn_id AND chat GLOB 'forgotten-*'
)
BEGIN SELECT RAISE(ABORT, 'the person of this turn was forgotten'); END;
