"""Plain texts of customers: several calls that wait at the same time, in a few statements.

Nearly every call brings one text for a chat in which nothing special is going on. Stored one after
the other (`daemon.ledger.arrivals`), each costs three statements, and each statement costs two
changes of the interpreter's lock, far more than SQLite's own work. Here a batch costs six in all.
Whatever is not plain, by itself or by what the ledger knows, is stored the general way; both ways
store the same, which `tests/store/test_plain_texts.py` holds.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from daemon.domain.ids import is_alias
from daemon.domain.messages import ChatKey, Message, Webhook
from daemon.domain.records import Accepted, Arrival
from daemon.domain.states import IGNORED, RECEIVED
from daemon.domain.transitions.sends import written_at
from daemon.ledger.announcements import SUBSCRIBED
from daemon.ledger.drivers.port import Connection, JointWrite, Write, marks
from daemon.ledger.messages import message_json
from daemon.ledger.references import Judging, known_by_itself, needs_look

LEAST = 3
"""Fewer calls than this are quicker the general way."""


def plain_text(webhook: Webhook, judging: Judging) -> Message | None:
    """The only thing in a call if that is a text which can be judged and stored by itself."""
    message = webhook.only_text
    if (
        message is None
        or message.alias
        or message.ephemeral
        or is_alias(message.key.chat)
        or message.key.number != webhook.channel
        or needs_look(message, mentions=judging.mentions)
    ):
        return None
    return message


class TextCall(JointWrite[Accepted]):
    """The write of a call with a plain text."""

    def __init__(
        self,
        webhook: Webhook,
        message: Message,
        body: bytes,
        *,
        judging: Judging,
        now: float,
        alone: Write[Accepted],
    ) -> None:
        """``alone`` stores it the general way."""
        self.webhook = webhook
        self.message = message
        self.body = body
        self.judging = judging
        self.now = now
        self._alone = alone
        self.__qualname__ = alone.__qualname__

    def __call__(self, connection: Connection) -> Accepted:
        """Store it the general way."""
        return self._alone(connection)

    @staticmethod
    def together(connection: Connection, calls: "Sequence[TextCall]") -> list[Accepted]:
        """Store the calls in their order; gives their results.

        A message that is stored already fails the whole transaction. The database then runs each
        write by itself, and the general way counts the repetition.
        """
        if len(calls) < LEAST:
            return [call(connection) for call in calls]
        usual = _usual_chats(connection, calls)
        results: list[Accepted] = []
        for is_usual, run in groupby(calls, key=lambda call: call.message.key in usual):
            together = list(run)
            if is_usual and len(together) >= LEAST:
                results += _store(connection, together)
            else:
                results += [call(connection) for call in together]
        return results


def _usual_chats(connection: Connection, calls: Sequence[TextCall]) -> set[ChatKey]:
    """The chats in which these texts change nothing but the chat's own row.

    Known, not paused, never forgotten, no edit or deletion waits for the text, and no other system
    is told of it. The texts of a chat are all stored the same way, so that they keep their order.
    """
    by_number = defaultdict[str, list[TextCall]](list)
    for call in calls:
        by_number[call.message.key.number].append(call)
    usual = set[ChatKey]()
    for number, own in by_number.items():
        chats = _padded([call.message.key.chat for call in own])
        rows = connection.execute(
            "SELECT chat FROM chats"
            f" WHERE channel = ? AND chat IN ({marks(chats)})"
            f" AND paused_until <= ? AND forgotten_at = 0 AND NOT {SUBSCRIBED}",
            (number, *chats, min(call.now for call in own)),
        ).fetchall()
        ids = _padded([call.message.id for call in own])
        awaited = connection.execute(
            f"SELECT target FROM early_changes WHERE channel = ? AND target IN ({marks(ids)})",
            (number, *ids),
        ).fetchall()
        usual |= {ChatKey(number, chat) for (chat,) in rows}
        if awaited:
            changed = {target for (target,) in awaited}
            usual -= {call.message.key for call in own if call.message.id in changed}
    return usual


def _padded(values: list[str]) -> list[str]:
    """The values, the last one repeated to a power of two: each length is another statement."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


def _store(connection: Connection, calls: Sequence[TextCall]) -> list[Accepted]:
    """Store calls of usual chats."""
    (last_id,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()
    events, messages, chats, results = [], [], [], []
    for event_id, call in enumerate(calls, last_id + 1):
        message, now = call.message, call.now
        key, reason = message.key, call.judging.verdict(known_by_itself(message))
        events.append((event_id, now, key.number, call.webhook.event, call.body))
        messages.append(
            (
                *(key.number, message.id, key.chat, event_id, message.kind),
                *(message_json.encode(message).decode(), message.sent_at, now),
                *(IGNORED if reason else RECEIVED, reason),
            )
        )
        contact = "" if message.is_group else message.author_name
        wrote_at = written_at(message.sent_at, now)
        chats.append(
            (
                *(message.chat_name, message.chat_name, contact, contact, now),
                *(wrote_at, wrote_at, key.number, key.chat),
            )
        )
        arrival = Arrival(key=key, what="message", kind=message.kind, received_at=now)
        results.append(
            Accepted(
                event_id=event_id,
                arrivals=() if reason else (arrival,),
                stored=1,
                verdicts=(reason,),
            )
        )
    connection.executemany(
        "INSERT INTO events (id, received_at, channel, event, body) VALUES (?, ?, ?, ?, ?)",
        events,
    )
    connection.executemany(
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state, reason) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        messages,
    )
    connection.executemany(
        "UPDATE chats SET name = CASE ? WHEN '' THEN name ELSE ? END,"
        " contact_name = CASE ? WHEN '' THEN contact_name ELSE ? END, last_activity_at = ?,"
        " customer_wrote_at = CASE WHEN ? > customer_wrote_at THEN ? ELSE customer_wrote_at END"
        " WHERE channel = ? AND chat = ?",
        chats,
    )
    return results
