-- How often the model was asked for the topic of an enquiry, and when last.
ALTER TABLE enquiries ADD COLUMN topic_tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enquiries ADD COLUMN topic_asked_at REAL NOT NULL DEFAULT 0;
CREATE INDEX enquiries_without_topic ON enquiries (channel, last_at) WHERE topic = '';
