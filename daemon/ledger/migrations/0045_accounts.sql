-- People who sign in to the dashboard by name.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    -- As colleagues and customers read it, and as it is compared.
    name TEXT NOT NULL,
    login TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('read', 'agent', 'operator')),
    -- Empty: as the browser wants it, and as in the settings.
    language TEXT NOT NULL DEFAULT '',
    zone TEXT NOT NULL DEFAULT '',
    -- Argon2's hash, with its parameters; empty: there is none to sign in with.
    password TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    seen_at REAL,
    disabled_at REAL
) STRICT;

-- Null: signed in with the admin token.
ALTER TABLE dashboard_sessions ADD COLUMN account_id INTEGER;
CREATE INDEX dashboard_sessions_by_account ON dashboard_sessions (account_id)
    WHERE account_id IS NOT NULL;
