"""What an event does to the rows of a message, a send, a turn or a chat. Pure."""
