"""The parts of the daemon put together: what the settings say becomes objects and rules."""
