"""The conversations: one task a chat, its turns, and what is sent."""
