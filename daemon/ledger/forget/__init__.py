"""Forgetting: erasing a person in stages and slices, and their number from the texts of others."""
