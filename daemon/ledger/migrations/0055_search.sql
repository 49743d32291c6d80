-- The words of all chats, for the search at the desk. A task fills it a few rows at a time, behind the
-- work; whatever changes or goes leaves it in the same transaction. All of it can be made again.
CREATE TABLE search_texts (
    -- When it was written, so that the newest are found first: Unix seconds × 4096, plus a number.
    id INTEGER PRIMARY KEY,
    -- 'in': messages.seq; 'out': outbox.id; 'note': notes.id.
    source TEXT NOT NULL CHECK (source IN ('in', 'out', 'note')),
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    -- Its words without accents, each once, and those of its places, separated by spaces.
    terms TEXT NOT NULL,
    UNIQUE (source, number)
) STRICT;
CREATE INDEX search_texts_by_chat ON search_texts (channel, chat);

-- The last row of each source that is in.
CREATE TABLE search_cursors (source TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL) STRICT;
INSERT INTO search_cursors (source, last) VALUES ('in', 0), ('out', 0), ('note', 0);

-- Rows whose words have changed since they were in.
CREATE TABLE search_changes (
    source TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (source, number)
) STRICT;

CREATE VIRTUAL TABLE search_index USING fts5 (
    terms, content = 'search_texts', content_rowid = 'id', tokenize = "ascii tokenchars '='",
    detail = none, prefix = '1 2 3'
);
CREATE VIRTUAL TABLE search_terms USING fts5vocab ('search_index', 'row');
-- The task merges: else a webhook's write would wait for a merge now and then.
INSERT INTO search_index (search_index, rank) VALUES ('automerge', 0), ('crisismerge', 500);
CREATE TRIGGER search_added AFTER INSERT ON search_texts BEGIN
    INSERT INTO search_index (rowid, terms) VALUES (NEW.id, NEW.terms);
END;
CREATE TRIGGER search_removed AFTER DELETE ON search_texts BEGIN
    INSERT INTO search_index (search_index, rowid, terms) VALUES ('delete', OLD.id, OLD.terms);
END;

CREATE TRIGGER search_message_changed AFTER UPDATE OF message, chat, deleted_at ON messages BEGIN
    DELETE FROM search_texts WHERE source = 'in' AND number = OLD.seq;
    INSERT INTO search_changes VALUES ('in', OLD.seq) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER search_message_removed AFTER DELETE ON messages BEGIN
    DELETE FROM search_texts WHERE source = 'in' AND number = OLD.seq;
END;
CREATE TRIGGER search_send_changed AFTER UPDATE OF body, chat ON outbox BEGIN
    DELETE FROM search_texts WHERE source = 'out' AND number = OLD.id;
    INSERT INTO search_changes VALUES ('out', OLD.id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER search_send_removed AFTER DELETE ON outbox BEGIN
    DELETE FROM search_texts WHERE source = 'out' AND number = OLD.id;
END;
CREATE TRIGGER search_note_changed AFTER UPDATE OF text, chat ON notes BEGIN
    DELETE FROM search_texts WHERE source = 'note' AND number = OLD.id;
    INSERT INTO search_changes VALUES ('note', OLD.id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER search_note_removed AFTER DELETE ON notes BEGIN
    DELETE FROM search_texts WHERE source = 'note' AND number = OLD.id;
END;
-- What was heard in a voice note, or read in a file, counts as words of its message.
CREATE TRIGGER search_words_changed AFTER UPDATE OF words ON media BEGIN
    DELETE FROM search_texts WHERE source = 'in' AND number =
        (SELECT seq FROM messages WHERE channel = OLD.channel AND id = OLD.message_id);
    INSERT INTO search_changes SELECT 'in', seq FROM messages
        WHERE channel = OLD.channel AND id = OLD.message_id ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER search_words_removed AFTER DELETE ON media BEGIN
    DELETE FROM search_texts WHERE source = 'in' AND number =
        (SELECT seq FROM messages WHERE channel = OLD.channel AND id = OLD.message_id);
    INSERT INTO search_changes SELECT 'in', seq FROM messages
        WHERE channel = OLD.channel AND id = OLD.message_id ON CONFLICT DO NOTHING;
END;
