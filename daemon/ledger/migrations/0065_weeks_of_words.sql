-- The search's index has the words of each week apart: `daemon/ledger/drivers/sqlite/text_index.py`.
-- It is filled again, by the same task as before.
DROP TRIGGER search_added;
DROP TRIGGER search_removed;
DROP TABLE search_terms;
DROP TABLE search_index;
DELETE FROM search_texts;
DELETE FROM search_changes;
UPDATE search_cursors SET last = 0;

-- Each term begins with three characters for the time; the beginnings of words that are in the index
-- have one to three letters more.
CREATE VIRTUAL TABLE search_index USING fts5 (
    terms, content = '', tokenize = "ascii tokenchars '='", detail = none, prefix = '4 5 6'
);
CREATE VIRTUAL TABLE search_terms USING fts5vocab ('search_index', 'row');
-- The task merges: else a webhook's write would wait for a merge now and then.
INSERT INTO search_index (search_index, rank) VALUES ('automerge', 0), ('crisismerge', 500);
CREATE TRIGGER search_added AFTER INSERT ON search_texts BEGIN
    INSERT INTO search_index (rowid, terms) VALUES (NEW.id,
        printf('%03x', NEW.id / 2477260800)
        || replace(NEW.terms, ' ', printf(' %03x', NEW.id / 2477260800)));
END;
CREATE TRIGGER search_removed AFTER DELETE ON search_texts BEGIN
    INSERT INTO search_index (search_index, rowid, terms) VALUES ('delete', OLD.id,
        printf('%03x', OLD.id / 2477260800)
        || replace(OLD.terms, ' ', printf(' %03x', OLD.id / 2477260800)));
END;
