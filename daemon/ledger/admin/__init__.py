"""What an operator asks of the store from the command line, beside a running daemon.

Each command opens the file for a moment, as SQLite lets several processes do; the lock that makes
one process the daemon is not touched. These functions wait in their own process only, so they are
plain functions: no task of the daemon calls them.
"""
