"""Erasing a person: in stages and slices, and what others have said of them."""
