"""The ledger on PostgreSQL, for several nodes: see docs/cluster.md."""
