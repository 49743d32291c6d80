"""What people are shown of the ledger: queries for the dashboard, and no writes.

Each gives plain JSON objects, times as Unix seconds. Nothing is masked here; who shows it decides.
"""
