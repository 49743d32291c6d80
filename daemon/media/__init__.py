"""What people send as files: fetching it, seeing what it is, reading and hearing it."""
