-- What the model has used up. One row is one call: reserved at its estimate in the write that starts
-- it, settled at its real use in the write that records its answer. Cost is in millionths of the
-- configured currency.
CREATE TABLE usage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    round INTEGER NOT NULL,
    day TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'settled')),
    tokens INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX usage_by_round ON usage (run_id, round);

-- The sums of a day (in the configured time zone): a row for each chat, and one with an empty chat
-- for all. What an operator has pardoned does not count for the chat. `told`: the chat has been
-- told, or the operator alerted, that the budget of the day is spent.
CREATE TABLE usage_days (
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 0,
    micros INTEGER NOT NULL DEFAULT 0,
    pardoned_tokens INTEGER NOT NULL DEFAULT 0,
    pardoned_micros INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1)),
    PRIMARY KEY (day, channel, chat)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_days_by_chat ON usage_days (channel, chat);

-- The sums follow the rows, whatever changes them, so that they cannot drift apart.
CREATE TRIGGER usage_added AFTER INSERT ON usage BEGIN
    INSERT INTO usage_days (day, channel, chat, tokens, micros)
        SELECT NEW.day, channel, chat, NEW.tokens, NEW.micros FROM (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = NEW.run_id UNION ALL SELECT '', ''
        ) WHERE true
        ON CONFLICT (day, channel, chat) DO UPDATE SET
            tokens = tokens + excluded.tokens, micros = micros + excluded.micros;
END;

CREATE TRIGGER usage_changed AFTER UPDATE OF tokens, micros ON usage BEGIN
    UPDATE usage_days
        SET tokens = tokens + NEW.tokens - OLD.tokens, micros = micros + NEW.micros - OLD.micros
        WHERE day = OLD.day AND (channel, chat) IN (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id UNION ALL SELECT '', ''
        );
END;

CREATE TRIGGER usage_removed AFTER DELETE ON usage BEGIN
    UPDATE usage_days SET tokens = tokens - OLD.tokens, micros = micros - OLD.micros
        WHERE day = OLD.day AND (channel, chat) IN (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id UNION ALL SELECT '', ''
        );
END;

-- A run that has ended, in whatever way, leaves no reservation behind.
CREATE TRIGGER usage_released AFTER UPDATE OF state ON runs WHEN NEW.state != 'running' BEGIN
    DELETE FROM usage WHERE run_id = NEW.id AND state = 'reserved';
END;

-- When the bot last noticed that it talks with a machine, and how long it keeps out for that reason.
ALTER TABLE chats ADD COLUMN loop_at REAL NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN loop_until REAL NOT NULL DEFAULT 0;
