-- The business's own documents, as far as they have been read. A new version of a document is stored
-- beside the old one, some passages at a time, and takes its place when it is complete.
CREATE TABLE knowledge_documents (
    id INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    digest TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    -- Why it cannot be read, or not all of it; empty if it was.
    error TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'growing' CHECK (state IN ('growing', 'current', 'outdated')),
    stored_at REAL NOT NULL
) STRICT;
CREATE INDEX knowledge_documents_by_path ON knowledge_documents (folder, path);

CREATE TABLE knowledge_passages (
    id INTEGER PRIMARY KEY,
    document_id INTEGER NOT NULL REFERENCES knowledge_documents (id),
    location TEXT NOT NULL,
    body TEXT NOT NULL,
    -- Its stems and those of its headings, separated by spaces.
    terms TEXT NOT NULL
) STRICT;
CREATE INDEX knowledge_passages_by_document ON knowledge_passages (document_id);

CREATE VIRTUAL TABLE knowledge_index USING fts5 (
    terms, content = 'knowledge_passages', content_rowid = 'id', tokenize = 'ascii'
);
CREATE VIRTUAL TABLE knowledge_terms USING fts5vocab ('knowledge_index', 'row');
CREATE TRIGGER knowledge_added AFTER INSERT ON knowledge_passages BEGIN
    INSERT INTO knowledge_index (rowid, terms) VALUES (NEW.id, NEW.terms);
END;
CREATE TRIGGER knowledge_removed AFTER DELETE ON knowledge_passages BEGIN
    INSERT INTO knowledge_index (knowledge_index, rowid, terms) VALUES ('delete', OLD.id, OLD.terms);
END;

-- What customers asked and the documents do not answer.
CREATE TABLE knowledge_questions (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    chat TEXT NOT NULL,
    turn_id INTEGER NOT NULL,
    question TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('no passage', 'answer')),
    asked_at REAL NOT NULL,
    UNIQUE (turn_id, question)
) STRICT;
CREATE INDEX knowledge_questions_by_time ON knowledge_questions (asked_at);
CREATE INDEX knowledge_questions_by_chat ON knowledge_questions (channel, chat);
