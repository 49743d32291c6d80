"""The business's own documents: a folder kept in step with the ledger, and the search in it."""
