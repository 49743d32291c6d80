"""What model servers send and are sent, as values: pure."""
