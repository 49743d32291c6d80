"""What the Cloud API sends and is sent, as values: pure."""
