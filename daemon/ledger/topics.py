"""The topics of enquiries: which lack one, what customers wrote, what the model chose."""

from typing import NamedTuple

from daemon.domain.messages import NOTE_KIND, ChatKey
from daemon.ledger.drivers.port import Connection, Role, query, transaction
from daemon.ledger.messages import read_message
from daemon.ledger.recordings import text_of

MOST_TRIES = 3
BEFORE_NEXT_TRY_SECONDS = 3600.0
LATEST_SECONDS = 7 * 24 * 3600.0
"""Older enquiries get no topic, so that a list that is new asks nothing about the past."""

MESSAGES = 20
"""Of an enquiry, from its beginning."""


class UnsortedEnquiry(NamedTuple):
    """An enquiry without a topic."""

    id: int
    key: ChatKey
    texts: tuple[str, ...]
    """What its customer wrote or said, as far as it is text and still there."""


class Topics(Role):
    """The topics of enquiries. One task of the process writes them."""

    @query
    def next_unsorted(
        self, connection: Connection, number: str, *, now: float, quiet_seconds: float
    ) -> UnsortedEnquiry | None:
        """Return an enquiry to ask about: nothing of it waits, and it has been quiet so long."""
        row = connection.execute(
            "SELECT id, chat, first_seq, last_seq FROM enquiries WHERE channel = ? AND topic = ''"
            " AND last_at BETWEEN ? AND ? AND outcome != 'waiting' AND chat != ''"
            " AND topic_tries < ? AND topic_asked_at <= ? ORDER BY last_at LIMIT 1",
            (
                *(number, now - LATEST_SECONDS, now - quiet_seconds),
                *(MOST_TRIES, now - BEFORE_NEXT_TRY_SECONDS),
            ),
        ).fetchone()
        if row is None:
            return None
        row_id, chat, first, last = row
        messages = connection.execute(
            "SELECT m.message, media.words FROM messages m LEFT JOIN media"
            " ON media.channel = m.channel AND media.message_id = m.id"
            " WHERE m.channel || '/' || m.chat = ? AND m.seq BETWEEN ? AND ? AND m.from_me = 0"
            f" AND m.kind != '{NOTE_KIND}' AND m.deleted_at IS NULL ORDER BY m.seq LIMIT ?",
            (f"{number}/{chat}", first, last, MESSAGES),
        ).fetchall()
        read = [(read_message.decode(message), words) for message, words in messages]
        texts = [text_of(message, words) for message, words in read if not message.disappears]
        return UnsortedEnquiry(row_id, ChatKey(number, chat), tuple(filter(None, texts)))

    @transaction
    def asked(self, connection: Connection, enquiry_id: int, *, tries: int, now: float) -> None:
        """Count a try before it is made, so that a crash cannot repeat it without end.

        0 tries: the budget does not allow one now; the next may be in an hour.
        """
        connection.execute(
            "UPDATE enquiries SET topic_tries = topic_tries + ?, topic_asked_at = ? WHERE id = ?",
            (tries, now, enquiry_id),
        )

    @transaction
    def set_topic(self, connection: Connection, enquiry_id: int, topic: str) -> None:
        """Keep a topic for good."""
        connection.execute(
            "UPDATE enquiries SET topic = ? WHERE id = ? AND topic = ''", (topic, enquiry_id)
        )
