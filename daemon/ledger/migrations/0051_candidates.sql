-- What a candidate would have answered in a turn; nothing of it was sent.
CREATE TABLE candidate_answers (
    turn_id INTEGER NOT NULL PRIMARY KEY REFERENCES turns (id),
    version_id INTEGER NOT NULL REFERENCES versions (id),
    text TEXT NOT NULL,
    tools TEXT NOT NULL,
    micros INTEGER NOT NULL,
    seconds REAL NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX candidate_answers_by_version ON candidate_answers (version_id, at);
