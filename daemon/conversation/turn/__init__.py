"""One turn: from the messages that wait to the answer in the outbox."""
