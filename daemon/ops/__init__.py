"""What operators do: commands, checks, maintenance, and what API and dashboard offer."""
