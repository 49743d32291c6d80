-- The words of all chats, for the search at the desk. A task fills it a few rows at a time, behind the
-- work; whatever changes or goes leaves it in the same transaction. All of it can be made again.
CREATE TABLE search_texts (
    -- When it was written, so that the newest are found first: Unix seconds × 4096, plus a number.
    id BIGINT PRIMARY KEY,
    -- 'in': messages.seq; 'out': outbox.id; 'note': notes.id.
    source TEXT COLLATE "C" NOT NULL CHECK (source IN ('in', 'out', 'note')),
    number BIGINT NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    chat TEXT COLLATE "C" NOT NULL,
    -- Its words without accents, each once, and those of its places, separated by spaces.
    terms TEXT COLLATE "C" NOT NULL,
    words TSVECTOR GENERATED ALWAYS AS (array_to_tsvector(string_to_array(terms, ' '))) STORED,
    UNIQUE (source, number)
);
CREATE INDEX search_texts_by_chat ON search_texts (channel, chat);
CREATE INDEX search_index ON search_texts USING gin (words);

-- The last row of each source that is in.
CREATE TABLE search_cursors (source TEXT COLLATE "C" NOT NULL PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO search_cursors (source, last) VALUES ('in', 0), ('out', 0), ('note', 0);

-- Rows whose words have changed since they were in.
CREATE TABLE search_changes (
    source TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (source, number)
);

-- A row that goes is noted too: another node may be about to put it in.
CREATE FUNCTION search_forgets(kind text, row_number bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM search_texts WHERE source = kind AND number = row_number;
    INSERT INTO search_changes VALUES (kind, row_number) ON CONFLICT DO NOTHING;
$$;
CREATE FUNCTION search_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_forgets('in', OLD.seq);
    RETURN NULL;
END $$;
CREATE FUNCTION search_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_forgets(TG_ARGV[0], OLD.id);
    RETURN NULL;
END $$;
-- What was heard in a voice note, or read in a file, counts as words of its message.
CREATE FUNCTION search_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_forgets('in', seq) FROM messages
        WHERE channel = OLD.channel AND id = OLD.message_id;
    RETURN NULL;
END $$;
CREATE TRIGGER search_message_changed AFTER UPDATE OF message, chat, deleted_at ON messages
    FOR EACH ROW EXECUTE FUNCTION search_message();
CREATE TRIGGER search_message_removed AFTER DELETE ON messages
    FOR EACH ROW EXECUTE FUNCTION search_message();
CREATE TRIGGER search_send_changed AFTER UPDATE OF body, chat ON outbox
    FOR EACH ROW EXECUTE FUNCTION search_row('out');
CREATE TRIGGER search_send_removed AFTER DELETE ON outbox
    FOR EACH ROW EXECUTE FUNCTION search_row('out');
CREATE TRIGGER search_note_changed AFTER UPDATE OF text, chat ON notes
    FOR EACH ROW EXECUTE FUNCTION search_row('note');
CREATE TRIGGER search_note_removed AFTER DELETE ON notes
    FOR EACH ROW EXECUTE FUNCTION search_row('note');
CREATE TRIGGER search_words_changed AFTER UPDATE OF words ON media
    FOR EACH ROW EXECUTE FUNCTION search_words();
CREATE TRIGGER search_words_removed AFTER DELETE ON media
    FOR EACH ROW EXECUTE FUNCTION search_words();
