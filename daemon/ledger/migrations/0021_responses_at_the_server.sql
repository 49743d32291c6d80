-- What a model server keeps for us until it has been told that it is of no use any more: a response
-- that may be running, or a thread whose run waits for tool outputs. The next start cancels the rest.
CREATE TABLE kept_responses (
    response_id TEXT PRIMARY KEY,
    noted_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
