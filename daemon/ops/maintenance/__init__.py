"""What is done every so often: side tasks of the daemon, each with its interval a setting."""
