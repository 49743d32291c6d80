"""Validation: what the model wrote is looked at before a customer reads it."""
