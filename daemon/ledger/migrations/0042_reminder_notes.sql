-- The text is a note for the model, which writes the message when it is due.
ALTER TABLE reminders ADD COLUMN is_note INTEGER NOT NULL DEFAULT 0 CHECK (is_note IN (0, 1));
