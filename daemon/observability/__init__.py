"""What can be seen of the daemon from outside: log lines, figures, and nothing personal in them."""
