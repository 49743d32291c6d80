"""What `recado check` looks at."""
