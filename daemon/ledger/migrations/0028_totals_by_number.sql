-- The sum of a day is a row for each number of ours, whose chat is empty: each has a budget of its own.
DROP TRIGGER usage_added;
DROP TRIGGER usage_changed;
DROP TRIGGER usage_removed;

CREATE TRIGGER usage_added AFTER INSERT ON usage BEGIN
    INSERT INTO usage_days (day, channel, chat, tokens, micros)
        SELECT NEW.day, channel, chat, NEW.tokens, NEW.micros FROM (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = NEW.run_id UNION ALL
            SELECT turns.channel, '' FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = NEW.run_id
        ) WHERE true
        ON CONFLICT (day, channel, chat) DO UPDATE SET
            tokens = tokens + excluded.tokens, micros = micros + excluded.micros;
END;

CREATE TRIGGER usage_changed AFTER UPDATE OF tokens, micros ON usage BEGIN
    UPDATE usage_days
        SET tokens = tokens + NEW.tokens - OLD.tokens, micros = micros + NEW.micros - OLD.micros
        WHERE day = OLD.day AND (channel, chat) IN (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id UNION ALL
            SELECT turns.channel, '' FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id
        );
END;

CREATE TRIGGER usage_removed AFTER DELETE ON usage WHEN OLD.state = 'reserved' BEGIN
    UPDATE usage_days SET tokens = tokens - OLD.tokens, micros = micros - OLD.micros
        WHERE day = OLD.day AND (channel, chat) IN (
            SELECT turns.channel, turns.chat FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id UNION ALL
            SELECT turns.channel, '' FROM runs JOIN turns ON turns.id = runs.turn_id
            WHERE runs.id = OLD.run_id
        );
END;
