-- The audit becomes a chain: each row carries the hash of the row before it. What may tell of a
-- customer stands beside the chain, in rows that can be erased; the chain has a salted digest of it.
-- See daemon/domain/audit_chain.py, whose functions chain the rows that are there already, in their order.
ALTER TABLE audit RENAME TO audit_unchained;
DROP INDEX audit_by_subject;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    digest TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TABLE audit_details (
    audit_id INTEGER PRIMARY KEY REFERENCES audit (id),
    salt TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit_details (subject) WHERE subject != '';

-- The last row, once more: a chain of which the end was cut off ends before it.
CREATE TABLE audit_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TEMP TABLE salted AS
    SELECT row_number() OVER (ORDER BY id) AS id, at, command, subject, detail,
        lower(hex(randomblob(16))) AS salt FROM audit_unchained;

INSERT INTO audit (id, at, actor, address, action, digest, hash)
    SELECT id, at, '', '', command, digest, audit_chained(id, at, command, digest) FROM (
        SELECT id, at, command, audit_digest(salt, subject, '', detail) AS digest
        FROM salted ORDER BY id LIMIT -1
    );
INSERT INTO audit_details (audit_id, salt, subject, before, after)
    SELECT id, salt, subject, '', detail FROM salted;
INSERT INTO audit_head (only, id, hash)
    SELECT 1, COALESCE(MAX(id), 0), COALESCE((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '')
    FROM audit;

DROP TABLE salted;
DROP TABLE audit_unchained;
