"""Plain texts of customers: several calls that wait at the same time, in a few statements.

Nearly every call brings one text for a chat in which nothing special is going on. Stored one after
the other (`daemon.ledger.arrivals`), each costs three statements, and each step of a statement
gives the interpreter's lock away and takes it again, far more than SQLite's own work. Here a batch
costs one query, and for each table as many statements as its size has bits. Whatever is not plain,
by itself or by what the ledger knows, is stored the general way; both ways store the same, which
`tests/store/test_plain_texts.py` holds.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, groupby
from typing import Any

from daemon.domain.ids import is_alias
from daemon.domain.messages import ChatKey, Message, Webhook
from daemon.domain.records import Accepted, Arrival
from daemon.domain.states import IGNORED, RECEIVED
from daemon.domain.transitions.sends import written_at
from daemon.ledger.announcements import SUBSCRIBED
from daemon.ledger.arrivals import insert_event, take_in
from daemon.ledger.drivers.port import Connection, JointWrite, marks
from daemon.ledger.messages import message_json
from daemon.ledger.references import Judging, judge, known_by_itself, needs_look

MOST_ROWS = 64
"""Of one statement; a power of two."""

# Each text has one form for each number of rows. The rows of `chats` are there already.
_EVENTS = "INSERT INTO events (id, received_at, channel, event, body) VALUES {rows}"
_MESSAGES = (
    "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
    " received_at, state, reason) VALUES {rows}"
)
_CHATS = (
    "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at,"
    " customer_wrote_at) VALUES {rows} ON CONFLICT (channel, chat) DO UPDATE SET"
    " name = CASE excluded.name WHEN '' THEN chats.name ELSE excluded.name END,"
    " contact_name = CASE excluded.contact_name WHEN '' THEN chats.contact_name"
    " ELSE excluded.contact_name END, last_activity_at = excluded.last_activity_at,"
    " customer_wrote_at = CASE WHEN excluded.customer_wrote_at > chats.customer_wrote_at"
    " THEN excluded.customer_wrote_at ELSE chats.customer_wrote_at END"
)


def is_plain(message: Message, webhook: Webhook, judging: Judging) -> bool:
    """Whether a text, which is all that a call says, can be judged and stored by itself."""
    return not (
        message.alias
        or message.ephemeral
        or is_alias(message.key.chat)
        or message.key.number != webhook.channel
        or needs_look(message, mentions=judging.mentions)
    )


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
        contact: bytes,
    ) -> None:
        """``contact``: the key of contacts' hashes."""
        self.webhook = webhook
        self.message = message
        self.body = body
        self.judging = judging
        self.now = now
        self._contact = contact
        self.__qualname__ = "Inbox.accept"  # for the crash harness and for logs

    def __call__(self, connection: Connection) -> Accepted:
        """Store it the general way."""
        event_id = insert_event(connection, self.webhook, self.body, "", self.now)
        judged, verdicts = judge(connection, self.webhook, self.judging, self.now)
        return take_in(
            connection,
            judged,
            event_id,
            verdicts=verdicts,
            now=self.now,
            pause_until=0,  # only agents' messages pause
            contact=self._contact,
        )

    @staticmethod
    def together(connection: Connection, calls: "Sequence[TextCall]") -> list[Accepted]:
        """Store the calls in their order; gives their results.

        A message that is stored already fails the whole transaction. The database then runs each
        write by itself, and the general way counts the repetition.
        """
        unusual, last_id = _unusual_chats(connection, calls)
        if not unusual:
            return _store(connection, calls, last_id)
        results: list[Accepted] = []
        for is_usual, run in groupby(calls, key=lambda call: call.message.key not in unusual):
            together = list(run)
            if is_usual:
                results += _store(connection, together, _last_id(connection))
            else:
                results += [call(connection) for call in together]
        return results


def _last_id(connection: Connection) -> int:
    row = connection.execute("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()
    return int(row[0])


def _unusual_chats(connection: Connection, calls: Sequence[TextCall]) -> tuple[set[ChatKey], int]:
    """The chats in which these texts may change more than the chat's own row; the last event's id.

    Others are known, not paused, never forgotten, no edit or deletion waits for the text, and no
    other system is told of it. The texts of a chat are all stored the same way, so that they keep
    their order.
    """
    by_number = defaultdict[str, list[TextCall]](list)
    for call in calls:
        by_number[call.message.key.number].append(call)
    unusual, last_id = set[ChatKey](), 0
    for number, own in by_number.items():
        chats = {call.message.key.chat for call in own}
        of_chats, of_ids = _padded(list(chats)), _padded([call.message.id for call in own])
        usual, awaited, last_id = connection.execute(
            "SELECT (SELECT COUNT(*) FROM chats"
            f" WHERE channel = ? AND chat IN ({marks(of_chats)})"
            f" AND paused_until <= ? AND forgotten_at = 0 AND NOT {SUBSCRIBED}),"
            " EXISTS (SELECT 1 FROM early_changes"
            f" WHERE channel = ? AND target IN ({marks(of_ids)})),"
            " (SELECT COALESCE(MAX(id), 0) FROM events)",
            (number, *of_chats, min(call.now for call in own), number, *of_ids),
        ).fetchone()
        if usual < len(chats) or awaited:
            unusual |= _unusual_of(connection, number, own)
    return unusual, last_id


def _unusual_of(connection: Connection, number: str, own: Sequence[TextCall]) -> set[ChatKey]:
    """The unusual chats among those of one number, one by one."""
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
    usual = {ChatKey(number, chat) for (chat,) in rows}
    changed = {target for (target,) in awaited}
    return {
        call.message.key
        for call in own
        if call.message.id in changed or call.message.key not in usual
    }


def _padded(values: list[str]) -> list[str]:
    """The values, the last one repeated to a power of two: each length is another statement."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


def _store(connection: Connection, calls: Sequence[TextCall], last_id: int) -> list[Accepted]:
    """Store calls of usual chats; ``last_id`` is that of the newest event."""
    events: list[tuple[Any, ...]] = []
    messages: list[tuple[Any, ...]] = []
    chats: list[tuple[Any, ...]] = []
    results = []
    for event_id, call in enumerate(calls, last_id + 1):
        message, now = call.message, call.now
        key, sent_at = message.key, message.sent_at
        number, chat = key
        reason = call.judging.verdict(known_by_itself(message))
        arrivals = () if reason else (Arrival(key, "message", message.kind, now),)
        events.append((event_id, now, number, call.webhook.event, call.body))
        messages.append(
            (
                *(number, message.id, chat, event_id, message.kind),
                *(message_json.encode(message).decode(), sent_at, now),
                *(IGNORED if reason else RECEIVED, reason),
            )
        )
        contact = "" if message.is_group else message.author_name
        chats.append((number, chat, message.chat_name, contact, now, now, written_at(sent_at, now)))
        results.append(Accepted(event_id, arrivals, 1, verdicts=(reason,)))
    _insert(connection, _EVENTS, "(?, ?, ?, ?, ?)", events)
    _insert(connection, _MESSAGES, "(?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)", messages)
    _insert(connection, _CHATS, "(?, ?, ?, ?, ?, ?, ?)", chats)
    return results


def _insert(connection: Connection, sql: str, row: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, as many as possible with each statement; the first ones first.

    A statement has a power of two of them: so there are few texts, which the connection keeps.
    """
    begin, left = 0, len(rows)
    while left:
        some = min(MOST_ROWS, 1 << (left.bit_length() - 1))
        values = list(chain.from_iterable(rows[begin : begin + some]))
        connection.execute(_text(sql, row, some), values)
        begin, left = begin + some, left - some


@lru_cache(64)
def _text(sql: str, row: str, rows: int) -> str:
    return sql.format(rows=", ".join([row] * rows))
