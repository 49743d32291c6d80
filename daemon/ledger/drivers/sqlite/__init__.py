"""SQLite: a writer thread with group commit, reader threads, the file's lock."""
