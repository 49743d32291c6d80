"""Payloads of the Cloud API, received and sent, as values: pure."""
