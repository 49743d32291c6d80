"""What tools leave behind: words said while they work, escalations, and remembered facts."""

from daemon.domain.messages import ChatKey
from daemon.domain.records import Fact, NewPart, Turn
from daemon.domain.states import DROPPED, FAILED
from daemon.ledger.drivers.port import Connection
from daemon.ledger.outbox import queue_part, read_payload
from daemon.ledger.role import Role, query, transaction


class InterimMessages(Role):
    """What tools have said in a turn. Only the tool calls of the turn's run may add to it."""

    @transaction
    def say(
        self,
        connection: Connection,
        turn: Turn,
        key: str,
        ordinal: int,
        part: NewPart,
        *,
        now: float,
    ) -> bool:
        """Put one message into the outbox; False if it is there, or has been said, already.

        ``key`` is the idempotency key of the tool call, ``ordinal`` counts what the call says.
        """
        known = connection.execute(
            "SELECT 1 FROM interim_messages WHERE key = ? AND ordinal = ?", (key, ordinal)
        ).fetchone()
        if known:
            return False
        row_id = queue_part(connection, turn.key, turn.id, part, now=now)
        connection.execute(
            "INSERT INTO interim_messages (key, ordinal, outbox_id) VALUES (?, ?, ?)",
            (key, ordinal, row_id),
        )
        return True

    @query
    def said(self, connection: Connection, turn: Turn) -> dict[str, list[NewPart]]:
        """What the tool calls of a turn have said or are going to say, by their keys, in order."""
        rows = connection.execute(
            "SELECT i.key, o.body, o.kind, o.payload FROM interim_messages i"
            " JOIN outbox o ON o.id = i.outbox_id WHERE o.turn_id = ?"
            " AND o.state NOT IN (?, ?) ORDER BY i.key, i.ordinal",
            (turn.id, FAILED, DROPPED),
        )
        said: dict[str, list[NewPart]] = {}
        for key, body, kind, payload in rows:
            part = NewPart(body, kind=kind, payload=read_payload.decode(payload))
            said.setdefault(key, []).append(part)
        return said


class Escalations(Role):
    """Which turns hand their chat to a person. Only the turn's run may add one."""

    @transaction
    def open(
        self,
        connection: Connection,
        turn: Turn,
        *,
        reason: str,
        summary: str,
        urgency: str,
        pause_seconds: float,
        notice: tuple[str, str] | None,
        now: float,
        again: bool = True,
    ) -> bool:
        """Hand the chat of a turn to a person; False if this turn has done so already.

        ``again``: also if a person was asked for there before and has not come. ``urgency`` is
        low, normal or high. ``notice`` is the agents' chat and the words for them; the same write
        puts them into the outbox. The write that ends the turn pauses the bot for
        ``pause_seconds``.
        """
        known = connection.execute(
            "SELECT 1 FROM escalations WHERE turn_id = ? UNION ALL SELECT 1 FROM chats"
            " WHERE channel = ? AND chat = ? AND escalated_at > 0 AND ? = 0",
            (turn.id, *turn.key, int(again)),
        ).fetchone()
        if known:
            return False
        outbox_id = None
        if notice is not None:
            chat, words = notice
            agents = ChatKey(turn.key.number, chat)
            outbox_id = queue_part(connection, agents, None, NewPart(words), now=now)
        connection.execute(
            "INSERT INTO escalations (turn_id, reason, summary, urgency, pause_seconds,"
            " outbox_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (turn.id, reason, summary, urgency, pause_seconds, outbox_id, now),
        )
        return True


MAX_FACTS = 50
"""Each request to the model has all of them."""


class Facts(Role):
    """What is remembered of each contact. Any task may call it."""

    @query
    def of(self, connection: Connection, key: ChatKey) -> tuple[Fact, ...]:
        """The facts about a contact, oldest first."""
        return facts_of(connection, key)

    @transaction
    def remember(self, connection: Connection, turn: Turn, fact: str, *, now: float) -> int:
        """Keep a fact learnt in a turn; gives its number, the old one if it is known already.

        ``fact`` has at most ``MAX_FACT_CHARACTERS`` of `daemon.domain.records`. Gives 0, and keeps
        nothing, if the contact has ``MAX_FACTS`` already.
        """
        known = connection.execute(
            "SELECT id FROM facts WHERE channel = ? AND chat = ? AND fact = ?",
            (*turn.key, fact),
        ).fetchone()
        if known:
            return int(known[0])
        row = connection.execute(
            "INSERT INTO facts (channel, chat, turn_id, fact, created_at)"
            " SELECT ?, ?, ?, ?, ? WHERE"
            " (SELECT COUNT(*) FROM facts WHERE channel = ? AND chat = ?) < ? RETURNING id",
            (*turn.key, turn.id, fact, now, *turn.key, MAX_FACTS),
        ).fetchone()
        return int(row[0]) if row else 0

    @transaction
    def forget(self, connection: Connection, key: ChatKey, fact_id: int) -> bool:
        """Forget one fact about a contact; False if there is none of that number."""
        done = connection.execute(
            "DELETE FROM facts WHERE channel = ? AND chat = ? AND id = ?", (*key, fact_id)
        )
        return done.rowcount == 1


def facts_of(connection: Connection, key: ChatKey) -> tuple[Fact, ...]:
    """See `Facts.of`; inside the caller's transaction or read."""
    rows = connection.execute(
        "SELECT id, fact FROM facts WHERE channel = ? AND chat = ? ORDER BY id", key
    )
    return tuple(Fact(*row) for row in rows)
