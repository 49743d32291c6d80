"""Rehearsal: the assistant is tried before customers meet it. Nothing is sent anywhere."""
