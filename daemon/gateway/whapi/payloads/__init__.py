"""What Whapi sends and is sent, as values: pure."""
