-- Tokens of the REST API: what somebody who has one may do. The token itself is nowhere.
CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('read', 'agent', 'operator')),
    digest TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    used_at REAL
) STRICT;

-- Idempotency keys of API requests, and which request each came with. Both are keyed hashes.
CREATE TABLE idempotency_keys (
    name TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
