"""What the web layer sees of a running daemon, and what a running daemon does when asked."""
