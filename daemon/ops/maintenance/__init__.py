"""Periodic side tasks of the daemon; a setting gives the interval of each."""
