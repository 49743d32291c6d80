"""Payloads of Whapi, received and sent, as values: pure."""
