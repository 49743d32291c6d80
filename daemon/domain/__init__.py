"""Pure values and decisions: no trio, no I/O, no clock."""
