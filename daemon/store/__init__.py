"""The ledger in SQLite: everything Recado knows, in verbs of its own words.

A passive object: it owns one writer thread and a few reader connections but no task, so that a
last write lands even while every task around it is being cancelled. No SQL and no SQLite error
leaves this package.
"""
