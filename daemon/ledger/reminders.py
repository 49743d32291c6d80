"""Reminders and follow-ups: rows that are due at a time, each put into the outbox once.

The write that takes a row out of ``waiting`` is the one that queues its message, so neither a crash
nor a second look says it twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from daemon.domain.announcements import ReminderChanged, moment
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import NOTE_KIND, ChatKey, JsonObject, Message, Other
from daemon.domain.records import NewPart, Turn
from daemon.domain.states import (
    CANCELLED,
    DROPPED,
    FAILED,
    PENDING,
    RECEIVED,
    SENDING,
    SENT,
    WAITING,
    ReminderState,
)
from daemon.ledger.announcements import announce
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, marks, query, transaction
from daemon.ledger.messages import UNANSWERED, message_json
from daemon.ledger.outbox import queue_part
from daemon.ledger.people import has_opted_out
from daemon.ledger.threads import append

Kind = Literal["reminder", "followup"]
Obstacle = Literal["", "too many", "opted out"]

IS_WAITING = f"state = '{WAITING}'"
"""The condition of the index ``reminders_waiting``."""

DROPPED_AT_ONCE = 500

SENDING_SECONDS = 60.0
"""A question that took longer to be sent counts from then."""

OPTED_OUT = "the contact wants no unrequested messages"
REPLIED = "the customer wrote"
HANDED_OVER = "a person has or had the chat"
TOO_LATE = "it could not be sent in time"
WINDOW_SHUT = "only templates can be sent, and none is configured"
REPLACED = "there is a newer answer"
NOT_ASKED = "the question was not sent"
BY_OPERATOR = "cancelled by an operator"
BY_CUSTOMER = "the customer does not want it any more"

_COLUMNS = "id, channel, chat, kind, text, due_at, cancel_on, open_hours, created_at, is_note"

NOTE_EVENT = "reminder.note"
"""The name of the event that brings the note of a reminder into its chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A row that waits. Times are Unix seconds."""

    id: int
    key: ChatKey
    kind: Kind
    text: str
    due_at: float
    cancel_on: frozenset[str]
    open_hours: bool
    """True if it is sent in opening hours only."""
    created_at: float
    is_note: bool
    """True if the text is a note for the model, which writes the message when it is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReminder:
    """What is to be sent, and when (Unix seconds)."""

    text: str
    due_at: float
    cancel_on: tuple[str, ...] = ()
    open_hours: bool = False
    is_note: bool = False
    """See `Reminder`."""


class Reminders(Role):
    """Reminders. Tools and operators add and cancel; one task fires; any task may read."""

    @transaction
    def add(
        self,
        connection: Connection,
        key: ChatKey,
        new: NewReminder,
        *,
        name: str,
        most: int,
        by: Actor | None = None,
        now: float,
    ) -> tuple[int, Obstacle]:
        """Add a reminder; gives its id, or why not. ``name`` is unique: it is added once.

        At most ``most`` may wait in a chat. ``by``: the operator, for the audit.
        """
        known = connection.execute("SELECT id FROM reminders WHERE key = ?", (name,)).fetchone()
        if known:
            return int(known[0]), ""
        if has_opted_out(connection, key):
            return 0, "opted out"
        if len(_waiting(connection, key)) >= most:
            return 0, "too many"
        row_id = _insert(connection, key, "reminder", new, name, now)
        if by is not None:
            write_audit(connection, by, "remind", key.chat, after=f"reminder {row_id}", now=now)
        return row_id, ""

    @query
    def is_known(self, connection: Connection, name: str) -> bool:
        """Whether one of this name was added."""
        row = connection.execute("SELECT 1 FROM reminders WHERE key = ?", (name,)).fetchone()
        return row is not None

    @transaction
    def cancel(
        self,
        connection: Connection,
        row_id: int,
        reason: str,
        *,
        key: ChatKey | None = None,
        by: Actor | None = None,
        now: float,
    ) -> bool:
        """Cancel one that waits; False if none does. ``key``: only one of this chat."""
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM reminders WHERE id = ? AND {IS_WAITING}", (row_id,)
        ).fetchone()
        if row is None or (key is not None and ChatKey(*row[1:3]) != key):
            return False
        _end(connection, _reminder(row), CANCELLED, reason, now=now)
        if by is not None:
            write_audit(
                connection, by, "cancel reminder", row[2], after=f"reminder {row_id}", now=now
            )
        return True

    @query
    def waiting(self, connection: Connection, key: ChatKey) -> tuple[Reminder, ...]:
        """What is still to be sent in a chat, in order."""
        return tuple(_waiting(connection, key))

    @query
    def due(
        self, connection: Connection, numbers: Collection[str], *, now: float, limit: int
    ) -> tuple[Reminder, ...]:
        """What is due in chats of these numbers that no person has, the longest due first."""
        names = [*numbers]
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM reminders r WHERE {IS_WAITING} AND due_at <= ?"
            # The column itself would have SQLite read all reminders of a number by their chats.
            f" AND channel || '' IN ({marks(names)}) AND NOT (kind = 'reminder' AND EXISTS"
            " (SELECT 1 FROM chats c WHERE c.channel = r.channel AND c.chat = r.chat"
            " AND c.paused_until > ?)) ORDER BY due_at, id LIMIT ?",
            (now, *names, now, limit),
        )
        return tuple(_reminder(row) for row in rows)

    @query
    def sent_since(self, connection: Connection, key: ChatKey, since: float) -> int:
        """How many were sent to a contact since a time."""
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM reminders WHERE channel = ? AND chat = ? AND state = ?"
            " AND ended_at >= ?",
            (*key, SENT, since),
        ).fetchone()
        return int(count)

    @transaction
    def await_question(self, connection: Connection, reminder: Reminder, *, now: float) -> bool:
        """Count a follow-up's time from when its question was sent; False if it is due now.

        A question that is still to be sent counts as sent now. Without a question it is ended.
        """
        (name,) = connection.execute(
            "SELECT key FROM reminders WHERE id = ?", (reminder.id,)
        ).fetchone() or ("",)
        turn_id = int(name.split(" ")[1]) if name else 0
        sends = connection.execute(
            "SELECT state, sent_at FROM outbox WHERE turn_id = ?", (turn_id,)
        ).fetchall()
        if any(state in {PENDING, SENDING} for state, _ in sends):
            since = now
        else:
            since = max((at or 0.0 for _, at in sends), default=0.0)
        never = bool(sends) and all(state in {FAILED, DROPPED} for state, _ in sends)
        if not never and since <= reminder.created_at + SENDING_SECONDS:
            return False
        reason = _obstacle(connection, reminder) or (NOT_ASKED if never else "")
        if reason and _is_waiting(connection, reminder):
            _end(connection, reminder, CANCELLED, reason, now=now)
        due_at = since + reminder.due_at - reminder.created_at
        connection.execute(
            f"UPDATE reminders SET created_at = ?, due_at = ? WHERE id = ? AND {IS_WAITING}",
            (since, due_at, reminder.id),
        )
        return bool(reason) or due_at > now

    @transaction
    def put_off(self, connection: Connection, reminder: Reminder, until: float) -> None:
        """It may not be sent yet."""
        connection.execute(
            f"UPDATE reminders SET due_at = ? WHERE id = ? AND {IS_WAITING}", (until, reminder.id)
        )

    @transaction
    def end(
        self,
        connection: Connection,
        reminder: Reminder,
        state: ReminderState,
        reason: str,
        *,
        now: float,
    ) -> None:
        """It is not to be sent any more."""
        if _is_waiting(connection, reminder):
            _end(connection, reminder, state, reason, now=now)

    @transaction
    def fire(
        self, connection: Connection, reminder: Reminder, part: NewPart | None, *, now: float
    ) -> str:
        """Put its message into the outbox and the thread; gives why not, empty if it is there.

        Without ``part`` its text is a note, which becomes a message that waits for a turn.
        """
        if not _is_waiting(connection, reminder):
            return "it does not wait any more"
        reason = _obstacle(connection, reminder)
        if reason:
            _end(connection, reminder, CANCELLED, reason, now=now)
            return reason
        if part is None:
            _store_note(connection, reminder, now)
            _end(connection, reminder, SENT, "", now=now)
            return ""
        outbox_id = queue_part(connection, reminder.key, None, part, now=now)
        item = {"role": "assistant", "content": part.body}
        append(connection, reminder.key, None, [item], now=now)
        _end(connection, reminder, SENT, "", outbox_id=outbox_id, now=now)
        return ""

    @transaction
    def drop_old(self, connection: Connection, *, before: float) -> int:
        """Delete some that ended and were made before a time; gives how many."""
        return connection.execute(
            "DELETE FROM reminders WHERE id IN (SELECT id FROM reminders"
            f" WHERE created_at < ? AND state != '{WAITING}' LIMIT ?)",
            (before, DROPPED_AT_ONCE),
        ).rowcount


def _waiting(connection: Connection, key: ChatKey) -> list[Reminder]:
    """What is still to be sent in a chat: not what a reply, say, has cancelled, due or not."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM reminders WHERE {IS_WAITING} AND channel = ? AND chat = ?"
        " ORDER BY due_at, id",
        key,
    )
    return [one for one in map(_reminder, rows) if not _obstacle(connection, one, is_due=False)]


def plan_followups(
    connection: Connection, turn: Turn, followups: Sequence[NewReminder], *, now: float
) -> None:
    """Make the follow-ups of an answer, in place of those of the one before.

    Inside the transaction that decides the answer.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM reminders WHERE {IS_WAITING} AND kind = 'followup'"
        " AND channel = ? AND chat = ?",
        turn.key,
    ).fetchall()
    for row in rows:
        _end(connection, _reminder(row), CANCELLED, REPLACED, now=now)
    for place, new in enumerate(followups):
        _insert(connection, turn.key, "followup", new, f"followup {turn.id} {place}", now)


def waiting_reminders(connection: Connection, *, limit: int) -> list[JsonObject]:
    """What waits in all chats, the next first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM reminders WHERE {IS_WAITING} ORDER BY due_at, id LIMIT ?",
        (limit,),
    )
    found = [_reminder(row) for row in rows]
    return [
        {
            "id": one.id,
            "key": one.key,
            "kind": one.kind,
            "text": one.text,
            "at": one.due_at,
            "is_note": one.is_note,
        }
        for one in found
        if not _obstacle(connection, one, is_due=False)
    ]


def _insert(
    connection: Connection, key: ChatKey, kind: Kind, new: NewReminder, name: str, now: float
) -> int:
    (row_id,) = connection.execute(
        "INSERT INTO reminders (channel, chat, kind, key, text, due_at, cancel_on, open_hours,"
        " created_at, is_note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            *(*key, kind, name, new.text, new.due_at),
            *(" ".join(new.cancel_on), int(new.open_hours), now, int(new.is_note)),
        ),
    ).fetchone()
    row = connection.execute(f"SELECT {_COLUMNS} FROM reminders WHERE id = ?", (row_id,)).fetchone()
    _announce(connection, _reminder(row), WAITING, "", now)
    return int(row_id)


def _store_note(connection: Connection, reminder: Reminder, now: float) -> None:
    """Store the note as a message of the chat: it is answered in a turn like any other, once."""
    (name,) = connection.execute(
        "SELECT contact_name FROM chats WHERE channel = ? AND chat = ?", reminder.key
    ).fetchone() or ("",)
    message = Message(
        id=f"{NOTE_KIND}-{reminder.id}-{int(reminder.created_at * 1000)}",
        key=reminder.key,
        kind=NOTE_KIND,
        content=Other(body=reminder.text),
        author_name=name,
    )
    (event_id,) = connection.execute(
        "INSERT INTO events (received_at, channel, event) VALUES (?, ?, ?) RETURNING id",
        (now, reminder.key.number, NOTE_EVENT),
    ).fetchone()
    connection.execute(
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
        (
            *(reminder.key.number, message.id, reminder.key.chat, event_id, message.kind),
            *(message_json.encode(message).decode(), message.sent_at, now, RECEIVED),
        ),
    )


def _is_waiting(connection: Connection, reminder: Reminder) -> bool:
    row = connection.execute(
        f"SELECT 1 FROM reminders WHERE id = ? AND {IS_WAITING}", (reminder.id,)
    ).fetchone()
    return row is not None


def _obstacle(connection: Connection, reminder: Reminder, *, is_due: bool = True) -> str:
    """Why a reminder is not to be sent any more; empty if it is."""
    if has_opted_out(connection, reminder.key):
        return OPTED_OUT
    is_followup = reminder.kind == "followup"
    ends_at_reply = is_followup or "reply" in reminder.cancel_on
    if ends_at_reply and _has_replied(connection, reminder, is_due=is_due):
        return REPLIED
    if (is_followup or "agent" in reminder.cancel_on) and _had_person(connection, reminder):
        return HANDED_OVER
    return ""


def _has_replied(connection: Connection, reminder: Reminder, *, is_due: bool) -> bool:
    """Whether the customer has written since; when it is due, also whether they wait for an answer.

    Before, what waits may be the very message that it was made for.
    """
    which = f"OR {UNANSWERED}" if is_due else ""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE channel || '/' || chat = ? AND from_me = 0"
        f" AND kind != '{NOTE_KIND}' AND (received_at > ? {which}) LIMIT 1",
        ("/".join(reminder.key), reminder.created_at),
    ).fetchone()
    return row is not None


def _had_person(connection: Connection, reminder: Reminder) -> bool:
    """Whether a person has had the chat since it was made, or is asked for."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ?"
        " AND (paused_until > ? OR escalated_at > 0)"
        " UNION ALL SELECT 1 FROM messages WHERE channel || '/' || chat = ? AND from_me = 1"
        f" AND received_at > ? AND (state = '{RECEIVED}' OR reason = 'agent') LIMIT 1",
        (*reminder.key, reminder.created_at, "/".join(reminder.key), reminder.created_at),
    ).fetchone()
    return row is not None


def _end(
    connection: Connection,
    reminder: Reminder,
    state: ReminderState,
    reason: str,
    *,
    outbox_id: int | None = None,
    now: float,
) -> None:
    connection.execute(
        "UPDATE reminders SET state = ?, reason = ?, outbox_id = ?, ended_at = ? WHERE id = ?",
        (state, reason, outbox_id, now, reminder.id),
    )
    _announce(connection, reminder, state, reason, now)


def _announce(
    connection: Connection, reminder: Reminder, state: ReminderState, reason: str, now: float
) -> None:
    changed = ReminderChanged(
        chat=reminder.key.chat,
        reminder=reminder.id,
        kind=reminder.kind,
        state=state,
        reason=reason,
        due_at=moment(reminder.due_at),
        text=reminder.text,
    )
    announce(connection, reminder.key, changed, reminder.id, state, now=now)


def _reminder(row: tuple[int, str, str, Kind, str, float, str, int, float, int]) -> Reminder:
    row_id, channel, chat, kind, text, due_at, cancel_on, open_hours, made, is_note = row
    return Reminder(
        id=row_id,
        key=ChatKey(channel, chat),
        kind=kind,
        text=text,
        due_at=due_at,
        cancel_on=frozenset(cancel_on.split()),
        open_hours=bool(open_hours),
        created_at=made,
        is_note=bool(is_note),
    )
