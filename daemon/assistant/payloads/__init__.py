"""Requests to model servers and their answers, as values. Pure."""
