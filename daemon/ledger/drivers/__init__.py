"""Database engines behind the ledger."""
