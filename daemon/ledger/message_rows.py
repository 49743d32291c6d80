"""Messages as they lie in rows: JSON there, values here."""

import msgspec

from daemon.domain.messages import Deletion, Edit, Message
from daemon.domain.records import StoredMessage

message_json = msgspec.json.Encoder()
read_message = msgspec.json.Decoder(Message)
read_change = msgspec.json.Decoder(Edit | Deletion)

WAITING = "(state IN ('received', 'in_turn') AND state = 'received')"
"""The condition of messages that no turn has taken. Only because it repeats the index's own, word
by word, does SQLite use the index ``messages_open`` for it."""


def stored_message(seq: int, message: str, received_at: float) -> StoredMessage:
    """Read one row of ``messages``."""
    return StoredMessage(seq=seq, message=read_message.decode(message), received_at=received_at)
