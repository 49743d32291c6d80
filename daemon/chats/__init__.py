"""Conversations at work: one task a chat, its window, its turns, its answers."""
