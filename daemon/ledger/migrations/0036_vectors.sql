-- The meaning of a passage, as an embedding model says it: little-endian floats, of length 1.
CREATE TABLE knowledge_vectors (
    passage_id INTEGER PRIMARY KEY REFERENCES knowledge_passages (id),
    model TEXT NOT NULL,
    vector BLOB NOT NULL
) STRICT;
