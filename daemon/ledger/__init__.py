"""The tables that record a message's whole life."""
