"""Turns: bursts being worked on, from the first claim to their outcome."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

from daemon.domain.messages import ChatKey, Deletion, Edit, JsonObject
from daemon.domain.records import (
    ChatUpdate,
    NewPart,
    OutboxRow,
    Run,
    StoredMessage,
    Turn,
    Validation,
)
from daemon.domain.states import (
    ABANDONED,
    COMPLETED,
    DELIVERING,
    DROPPED,
    HANDED_OFF,
    IN_TURN,
    PENDING,
    RUNNING,
    SUPERSEDED,
    TURN_DONE,
    TURN_OPEN,
    UNKNOWN,
    Outcome,
)
from daemon.domain.transitions.changes import change_note, words
from daemon.ledger.drivers.port import Connection, Role, query, reading, transaction, writing
from daemon.ledger.messages import IN_CHAT, WAITING, in_chat, stored_message
from daemon.ledger.outbox import open_rows, queue_notice, queue_parts
from daemon.ledger.reminders import NewReminder, plan_followups
from daemon.ledger.threads import add_note, append, keep_turn
from daemon.ledger.turn_outcome import close_turn, finish_turn, has_outcome, turn_end

_TURN = (
    "SELECT id, channel, chat, state, request_id, attempts, superseded, quotes, opened_at"
    " FROM turns"
)
ACTIVE = f"state != '{TURN_DONE}'"
"""The condition of turns without an outcome: that of the index ``one_living_turn``."""
_END_RUN = f"UPDATE runs SET state = ?, ended_at = ? WHERE turn_id = ? AND state = '{RUNNING}'"


class Concluded(NamedTuple):
    """A turn whose answer is decided."""

    turn: Turn
    to_send: tuple[OutboxRow, ...]
    """The unsent messages of its chat, in order."""
    tokens: int
    """About how many it has added to the thread."""


def active_turn(connection: Connection, key: ChatKey) -> Turn | None:
    """The turn of a chat that has no outcome yet, if there is one."""
    row = connection.execute(f"{_TURN} WHERE channel = ? AND chat = ? AND {ACTIVE}", key).fetchone()
    return _turn(connection, row) if row else None


class Turns(Role):
    """The life of turns. Only the task of a turn's chat may change it."""

    active = reading(active_turn)

    @query
    def all_active(self, connection: Connection) -> tuple[ChatKey, ...]:
        """The chats whose turn has no outcome yet, oldest turn first."""
        rows = connection.execute(f"SELECT id, channel, chat FROM turns WHERE {ACTIVE}")
        return tuple(ChatKey(channel, chat) for _, channel, chat in sorted(rows))

    @transaction
    def open(
        self,
        connection: Connection,
        key: ChatKey,
        *,
        request_id: str,
        limit: int,
        quotes: bool,
        now: float,
    ) -> Turn | None:
        """Take the messages that wait, at most ``limit`` of them, into a new turn.

        None if nothing waits. ``quotes``: the answer is to quote the first of them.
        """
        opened = connection.execute(
            "INSERT INTO turns (channel, chat, request_id, quotes, opened_at)"
            f" SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM messages WHERE {IN_CHAT}"
            f" AND {WAITING} AND from_me = 0) RETURNING id",
            (*key, request_id, int(quotes), now, *in_chat(key)),
        ).fetchone()
        if opened is None:
            return None
        turn_id = int(opened[0])
        return Turn(
            id=turn_id,
            key=key,
            state=TURN_OPEN,
            request_id=request_id,
            attempts=0,
            superseded=0,
            quotes=quotes,
            opened_at=now,
            messages=_claim(connection, key, turn_id, limit),
        )

    @transaction
    def join(
        self, connection: Connection, turn: Turn, *, limit: int, counts: bool, now: float
    ) -> Turn:
        """Supersede the run of an open turn: add what has come meanwhile, and start a new run.

        ``counts``: a run was discarded for it, which the configuration limits.
        """
        _claim(connection, turn.key, turn.id, limit)
        if connection.execute(_END_RUN, (SUPERSEDED, now, turn.id)).rowcount:
            connection.execute(
                "UPDATE turns SET superseded = superseded + ? WHERE id = ?", (int(counts), turn.id)
            )
        row = connection.execute(f"{_TURN} WHERE id = ?", (turn.id,)).fetchone()
        return _turn(connection, row)

    @transaction
    def conclude(
        self,
        connection: Connection,
        turn: Turn,
        *,
        items: Sequence[JsonObject],
        parts: Sequence[NewPart],
        chat_update: ChatUpdate | None = None,
        validation: Validation | None = None,
        followups: Sequence[NewReminder] | None = None,
        now: float,
    ) -> Concluded:
        """Decide the answer: one write puts it into the thread and the outbox.

        From then on it is sent exactly once, whatever happens; a second call changes nothing. Edits
        and deletions since ``turn`` was read are noted in the thread, since the answer does not
        know them. ``chat_update`` changes the chat's row; ``validation`` is the validators' result;
        ``followups`` replace those of the last answer.
        """
        decided = connection.execute(
            "UPDATE turns SET state = ?, concluded_at = ? WHERE id = ? AND state = ?",
            (DELIVERING, now, turn.id, TURN_OPEN),
        )
        if not decided.rowcount:
            return _concluded(connection, turn, parts, 0)
        tokens = keep_turn(connection, turn, items, chat_update, now=now)
        if validation is not None:
            _record_validation(connection, turn.id, validation)
        if followups is not None:
            plan_followups(connection, turn, followups, now=now)
        connection.execute(  # an agent may have closed them since, to be noted
            "UPDATE messages SET to_note = 0 WHERE turn_id = ? AND to_note = 1", (turn.id,)
        )
        _note_changes(connection, turn, _messages(connection, turn.id), now)
        queue_parts(connection, turn.key, turn.id, parts, now=now)
        connection.execute(_END_RUN, (COMPLETED, now, turn.id))
        return _concluded(connection, turn, parts, tokens)

    @transaction
    def close(
        self,
        connection: Connection,
        turn: Turn,
        outcome: Outcome,
        *,
        reason: str = "",
        items: Sequence[JsonObject] = (),
        parts: Sequence[NewPart] = (),
        now: float,
    ) -> None:
        """Set the outcome of a turn and its messages.

        The same write puts ``items`` into the thread and ``parts`` into the outbox: the burst, and
        the polite words for one that cannot be answered. With the outcome ``handed_off`` its
        messages wait for a person, unless one has answered them already; ``reason`` is then one of
        `daemon.domain.transitions.handover`; ``items`` of an open turn have the burst or are empty.
        """
        if has_outcome(connection, turn):
            return
        append(connection, turn.key, turn.id, items, now=now)
        connection.execute(
            "UPDATE outbox SET state = ?, error = ? WHERE turn_id = ? AND state IN (?, ?)",
            (DROPPED, reason or outcome, turn.id, PENDING, UNKNOWN),
        )
        for part in parts:
            queue_notice(connection, turn.key, part, now=now)
        connection.execute(_END_RUN, (ABANDONED, now, turn.id))
        in_thread = turn.state != TURN_OPEN or bool(items)
        close_turn(connection, turn, outcome, reason, now, in_thread=in_thread)

    finish = writing(finish_turn)

    end = reading(turn_end)

    @transaction
    def apologise(
        self,
        connection: Connection,
        turn: Turn,
        part: NewPart,
        *,
        now: float,
        corrects: bool = False,
    ) -> bool:
        """Queue an apology, unless the chat has had one since its last answer.

        So a customer is notified of an outage once, however many messages and attempts it takes.
        ``corrects``: it takes back what that one promised, and follows it, once.
        """
        due = connection.execute(
            "UPDATE chats SET apologised_at = ? WHERE channel = ? AND chat = ?"
            " AND (apologised_at = 0 OR (? = 1 AND NOT EXISTS (SELECT 1 FROM outbox o"
            " WHERE o.channel = chats.channel AND o.chat = chats.chat"
            " AND o.body = ? AND o.created_at >= chats.apologised_at)))",
            (now, *turn.key, int(corrects), part.body),
        )
        if not due.rowcount:
            return False
        return queue_notice(connection, turn.key, part, now=now)

    @query
    def of_send(self, connection: Connection, row_id: int) -> Turn | None:
        """The turn that a message of the outbox belongs to, as it was; None if there is none."""
        row = connection.execute(
            f"{_TURN} WHERE id = (SELECT turn_id FROM outbox WHERE id = ?)", (row_id,)
        ).fetchone()
        return _turn(connection, row) if row else None


def _concluded(
    connection: Connection, turn: Turn, parts: Sequence[NewPart], tokens: int
) -> Concluded:
    delivering = replace(
        turn,
        state=DELIVERING,
        messages=_messages(connection, turn.id),
        effects=turn.effects or bool(parts),
        taken_over=_is_taken_over(connection, turn.id),
    )
    return Concluded(delivering, open_rows(connection, turn.key), tokens)


def _note_changes(
    connection: Connection, turn: Turn, messages: Sequence[StoredMessage], now: float
) -> None:
    """Note in the thread how a turn's messages have changed since the turn was read."""
    left = {stored.seq: stored.message for stored in messages}
    for stored in turn.messages:
        message = left.get(stored.seq)
        if message is None:
            change: Edit | Deletion = Deletion(target=stored.message.id)
        elif message.content != stored.message.content:
            change = Edit(target=message.id, body=words(message))
        else:
            continue
        add_note(connection, turn.key, change_note(stored.message, change), now=now)


def _messages(connection: Connection, turn_id: int) -> tuple[StoredMessage, ...]:
    rows = connection.execute(
        "SELECT seq, message, received_at FROM messages"
        " WHERE turn_id = ? AND deleted_at IS NULL ORDER BY seq",
        (turn_id,),
    )
    return tuple(stored_message(*row) for row in rows)


def _claim(
    connection: Connection, key: ChatKey, turn_id: int, limit: int
) -> tuple[StoredMessage, ...]:
    """Take messages that wait into a turn; gives those that are not deleted, in order."""
    rows = connection.execute(
        f"UPDATE messages SET state = '{IN_TURN}', turn_id = ? WHERE seq IN (SELECT seq"
        f" FROM messages WHERE {IN_CHAT} AND {WAITING} AND from_me = 0"
        " ORDER BY seq LIMIT ?) RETURNING seq, message, received_at, deleted_at",
        (turn_id, *in_chat(key), limit),
    ).fetchall()
    kept = sorted((row[:3] for row in rows if row[3] is None), key=itemgetter(0))
    return tuple(stored_message(*row) for row in kept)


def _turn(
    connection: Connection,
    row: tuple[int, str, str, str, str, int, int, int, float],
) -> Turn:
    turn_id, channel, chat, state, request_id, attempts, superseded, quotes, opened_at = row
    return Turn(
        id=turn_id,
        key=ChatKey(channel, chat),
        state=state,
        request_id=request_id,
        attempts=attempts,
        superseded=superseded,
        quotes=bool(quotes),
        opened_at=opened_at,
        messages=_messages(connection, turn_id),
        effects=connection.execute(
            "SELECT 1 FROM tool_calls WHERE turn_id = ? AND effects = 1"
            " UNION ALL SELECT 1 FROM outbox WHERE turn_id = ?",
            (turn_id, turn_id),
        ).fetchone()
        is not None,
        taken_over=_is_taken_over(connection, turn_id),
    )


def _is_taken_over(connection: Connection, turn_id: int) -> bool:
    """True if an agent has answered the messages of a turn."""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE turn_id = ? AND state = ? LIMIT 1", (turn_id, HANDED_OFF)
    ).fetchone()
    return row is not None


class Validations(Role):
    """The rulings on answers. Only the task of a turn's chat may ask for a second try."""

    @transaction
    def ask_again(
        self,
        connection: Connection,
        run: Run,
        number: int,
        *,
        rulings: str,
        note: str,
        cooldown: float,
        now: float,
    ) -> bool:
        """Grant the answer of a round a second try, and keep the note for it; False if not.

        Once a turn, and once in ``cooldown`` seconds a chat. ``rulings`` is a JSON list.
        """
        asked = connection.execute(
            "SELECT 1 FROM responses JOIN runs ON runs.id = run_id"
            " WHERE turn_id = ? AND note != '' LIMIT 1",
            (run.turn_id,),
        ).fetchone()
        if asked is not None:
            return False
        due = connection.execute(
            "UPDATE chats SET validated_at = ? WHERE (channel, chat) IN"
            " (SELECT channel, chat FROM turns WHERE id = ?)"
            " AND (validated_at <= ? OR validated_at > ?)",
            (now, run.turn_id, now - cooldown, now),
        )
        if not due.rowcount:
            return False
        connection.execute(
            "UPDATE responses SET validation = ?, note = ? WHERE run_id = ? AND round = ?",
            (rulings, note, run.id, number),
        )
        return True


def _record_validation(connection: Connection, turn_id: int, validation: Validation) -> None:
    """Store the rulings on the answer that a turn ends with, inside the caller's transaction."""
    connection.execute(
        "UPDATE responses SET validation = ? WHERE round = ? AND run_id ="
        f" (SELECT id FROM runs WHERE turn_id = ? AND state = '{RUNNING}')",
        (validation.rulings, validation.round, turn_id),
    )
    if validation.doubt:
        connection.execute("UPDATE turns SET doubt = ? WHERE id = ?", (validation.doubt, turn_id))
