-- Files that the ledger has given up: deleted on this machine's disk, and then for all nodes; gone_at
-- says since when (Unix seconds), until other nodes have had time to delete their copies.
CREATE TABLE deleted_files (
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    gone_at REAL,
    PRIMARY KEY (folder, name)
) STRICT, WITHOUT ROWID;
