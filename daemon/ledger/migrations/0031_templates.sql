-- The templates that a number may send, as its gateway last listed them; `template` is JSON.
CREATE TABLE templates (
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    template TEXT NOT NULL,
    synced_at REAL NOT NULL,
    PRIMARY KEY (channel, name, language)
) STRICT, WITHOUT ROWID;
