"""The tables from which a message's whole life can be told."""
