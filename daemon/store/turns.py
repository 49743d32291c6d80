"""Turns: bursts being worked on, from the first claim to their outcome."""

import sqlite3
from collections.abc import Sequence

from daemon.ledger import NewPart, Outcome, StoredMessage, Told, Turn
from daemon.model import ChatKey, Deletion, Edit, JsonObject
from daemon.store.changes import change_note, words
from daemon.store.database import Database
from daemon.store.disappearing import let_turn_disappear
from daemon.store.escalations import pause_if_escalated
from daemon.store.memory import keep_turn
from daemon.store.outbox import queue_parts
from daemon.store.rows import WAITING, stored_message
from daemon.store.thread import add_note, append
from daemon.store.validations import record

_TURN = (
    "SELECT id, channel, chat, state, request_id, attempts, superseded, quotes, opened_at"
    " FROM turns"
)


class Turns:
    """The life of turns. Only the task of a turn's chat may change it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def living(self, key: ChatKey) -> Turn | None:
        """The turn of a chat that has no outcome yet, if there is one."""

        def verb(connection: sqlite3.Connection) -> Turn | None:
            row = connection.execute(
                f"{_TURN} WHERE channel = ? AND chat = ? AND state != 'done'", key
            ).fetchone()
            return _turn(connection, row) if row else None

        return await self._database.read(verb)

    async def all_living(self) -> tuple[ChatKey, ...]:
        """The chats whose turn has no outcome yet, oldest turn first."""

        def verb(connection: sqlite3.Connection) -> tuple[ChatKey, ...]:
            rows = connection.execute(
                "SELECT channel, chat FROM turns INDEXED BY one_living_turn"
                " WHERE state != 'done' ORDER BY id"
            )
            return tuple(ChatKey(*row) for row in rows)

        return await self._database.read(verb)

    async def open(
        self, key: ChatKey, *, request_id: str, limit: int, quotes: bool, now: float
    ) -> Turn | None:
        """Take the messages that wait, at most ``limit`` of them, into a new turn.

        None if nothing waits. ``quotes``: the answer is to quote the first of them.
        """

        def verb(connection: sqlite3.Connection) -> Turn | None:
            cursor = connection.execute(
                "INSERT INTO turns (channel, chat, request_id, quotes, opened_at)"  # noqa: S608 - constant
                " SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM messages WHERE channel = ?"
                f" AND chat = ? AND {WAITING} AND from_me = 0)",
                (*key, request_id, int(quotes), now, *key),
            )
            if not cursor.rowcount:
                return None
            turn_id = cursor.lastrowid
            _claim(connection, key, turn_id, limit)
            row = connection.execute(f"{_TURN} WHERE id = ?", (turn_id,)).fetchone()
            return _turn(connection, row)

        return await self._database.write(verb)

    async def join(self, turn: Turn, *, limit: int, counts: bool, now: float) -> Turn:
        """Supersede the run of an open turn: take in what has come meanwhile, and start anew.

        ``counts``: a run was thrown away for it, which is done only so often.
        """

        def verb(connection: sqlite3.Connection) -> Turn:
            _claim(connection, turn.key, turn.id, limit)
            connection.execute(
                "UPDATE runs SET state = 'superseded', ended_at = ?"
                " WHERE turn_id = ? AND state = 'running'",
                (now, turn.id),
            )
            connection.execute(
                "UPDATE turns SET superseded = superseded + ? WHERE id = ?",
                (int(counts), turn.id),
            )
            row = connection.execute(f"{_TURN} WHERE id = ?", (turn.id,)).fetchone()
            return _turn(connection, row)

        return await self._database.write(verb)

    async def begin_attempt(self, turn: Turn) -> int:
        """Count one more beginning of the work on a turn; gives the count, 1 for the first."""

        def verb(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "UPDATE turns SET attempts = attempts + 1 WHERE id = ? RETURNING attempts",
                (turn.id,),
            ).fetchone()
            return int(row[0])

        return await self._database.write(verb)

    async def conclude(
        self,
        turn: Turn,
        *,
        items: Sequence[JsonObject],
        parts: Sequence[NewPart],
        told: Told | None = None,
        validation: tuple[int, str] | None = None,
        now: float,
    ) -> Turn:
        """Decide the answer: the thread and the outbox get it in one write.

        From here on the answer is said exactly once, whatever happens. What was edited or deleted
        since ``turn`` was read is noted in the thread, since the answer does not know it. ``told``
        is what the chat is to remember of the turn besides its items; ``validation`` the round of
        the answer and what was said of it, a JSON list.
        """

        def verb(connection: sqlite3.Connection) -> Turn:
            keep_turn(connection, turn, items, told, now=now)
            if validation is not None:
                record(connection, turn.id, *validation)
            _note_changes(connection, turn, now)
            queue_parts(connection, turn.key, turn.id, parts, now=now)
            connection.execute(
                "UPDATE runs SET state = 'completed', ended_at = ?"
                " WHERE turn_id = ? AND state = 'running'",
                (now, turn.id),
            )
            connection.execute(
                "UPDATE chats SET apologised_at = 0 WHERE channel = ? AND chat = ?", turn.key
            )
            connection.execute(
                "UPDATE turns SET state = 'delivering', concluded_at = ? WHERE id = ?",
                (now, turn.id),
            )
            row = connection.execute(f"{_TURN} WHERE id = ?", (turn.id,)).fetchone()
            return _turn(connection, row)

        return await self._database.write(verb)

    async def close(
        self,
        turn: Turn,
        outcome: Outcome,
        *,
        reason: str = "",
        items: Sequence[JsonObject] = (),
        parts: Sequence[NewPart] = (),
        now: float,
    ) -> None:
        """Give a turn and its messages their outcome.

        ``items`` go into the thread and ``parts`` into the outbox in the same write: the burst
        that a human takes over, or the polite words for one that cannot be answered.
        """

        def verb(connection: sqlite3.Connection) -> None:
            append(connection, turn.key, turn.id, items, now=now)
            connection.execute(
                "UPDATE outbox SET state = 'dropped', error = ?"
                " WHERE turn_id = ? AND state IN ('pending', 'unknown')",
                (reason or outcome, turn.id),
            )
            queue_parts(connection, turn.key, None, parts, now=now)
            connection.execute(
                "UPDATE runs SET state = 'abandoned', ended_at = ?"
                " WHERE turn_id = ? AND state = 'running'",
                (now, turn.id),
            )
            _close(connection, turn, outcome, reason, now)

        await self._database.write(verb)

    async def finish(self, turn: Turn, *, now: float) -> Outcome:
        """Close a turn whose answer has been delivered, as far as it can be.

        Answered if any part of it was said; dead if every part was refused for good. What tools
        have said before the answer does not count.
        """

        def verb(connection: sqlite3.Connection) -> Outcome:
            said, refused, error = connection.execute(
                "SELECT COALESCE(SUM(state = 'sent'), 0), COALESCE(SUM(state = 'failed'), 0),"
                " MAX(CASE state WHEN 'failed' THEN error ELSE '' END)"
                " FROM outbox WHERE turn_id = ?"
                " AND id NOT IN (SELECT outbox_id FROM interim_messages)",
                (turn.id,),
            ).fetchone()
            outcome: Outcome = "dead" if refused and not said else "answered"
            reason = error if refused else ""
            _close(connection, turn, outcome, reason, now)
            return outcome

        return await self._database.write(verb)

    async def apologise(self, turn: Turn, part: NewPart, *, now: float) -> bool:
        """Queue an apology, unless the chat has had one since its last answer.

        So a customer hears of one outage once, however many messages and attempts it takes.
        """

        def verb(connection: sqlite3.Connection) -> bool:
            due = connection.execute(
                "UPDATE chats SET apologised_at = ? WHERE channel = ? AND chat = ?"
                " AND apologised_at = 0",
                (now, *turn.key),
            )
            if not due.rowcount:
                return False
            queue_parts(connection, turn.key, None, [part], now=now)
            return True

        return await self._database.write(verb)


def _close(
    connection: sqlite3.Connection, turn: Turn, outcome: Outcome, reason: str, now: float
) -> None:
    connection.execute(
        "UPDATE messages SET state = ?, reason = ? WHERE turn_id = ? AND state = 'in_turn'",
        (outcome, reason, turn.id),
    )
    connection.execute(
        "UPDATE turns SET state = 'done', outcome = ?, reason = ?, closed_at = ? WHERE id = ?",
        (outcome, reason, now, turn.id),
    )
    let_turn_disappear(connection, turn.id)
    pause_if_escalated(connection, turn, now)


def _note_changes(connection: sqlite3.Connection, turn: Turn, now: float) -> None:
    """Put into the thread what has become of a turn's messages since the turn was read."""
    left = {stored.seq: stored.message for stored in _messages(connection, turn.id)}
    for stored in turn.messages:
        message = left.get(stored.seq)
        if message is None:
            change: Edit | Deletion = Deletion(target=stored.message.id)
        elif message.content != stored.message.content:
            change = Edit(target=message.id, body=words(message))
        else:
            continue
        add_note(connection, turn.key, change_note(stored.message, change), now=now)


def _messages(connection: sqlite3.Connection, turn_id: int) -> tuple[StoredMessage, ...]:
    rows = connection.execute(
        "SELECT seq, message, received_at FROM messages"
        " WHERE turn_id = ? AND deleted_at IS NULL ORDER BY seq",
        (turn_id,),
    )
    return tuple(stored_message(*row) for row in rows)


def _claim(connection: sqlite3.Connection, key: ChatKey, turn_id: int | None, limit: int) -> None:
    connection.execute(
        "UPDATE messages SET state = 'in_turn', turn_id = ? WHERE seq IN (SELECT seq FROM messages"  # noqa: S608 - constant
        f" WHERE channel = ? AND chat = ? AND {WAITING} AND from_me = 0"
        " ORDER BY seq LIMIT ?)",
        (turn_id, *key, limit),
    )


def _turn(
    connection: sqlite3.Connection,
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
            "SELECT 1 FROM tool_calls WHERE turn_id = ?1 AND effects = 1"
            " UNION ALL SELECT 1 FROM outbox WHERE turn_id = ?1",
            (turn_id,),
        ).fetchone()
        is not None,
    )
