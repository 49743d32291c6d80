"""Operators' queries and changes: plain functions of a connection.

Commands open a connection beside the daemon for a moment, without its lock; the dashboard uses the
daemon's own.
"""
