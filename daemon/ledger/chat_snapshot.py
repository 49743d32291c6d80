"""Where a chat stands: all that its task has to know when it begins, read in one go."""

from dataclasses import dataclass

from daemon.domain.limits.rate_limits import Exchange
from daemon.domain.messages import ChatKey, Text
from daemon.domain.records import ChatRecord, OutboxRow, Turn
from daemon.ledger.drivers.port import Connection
from daemon.ledger.message_rows import read_message
from daemon.ledger.outbox import open_rows
from daemon.ledger.role import Role, query, transaction
from daemon.ledger.threads import chat_record
from daemon.ledger.turns import active_turn
from daemon.ledger.waiting import signals

# Exchanges: the last turns of a chat with their times, by which a loop is seen and stopped.


LOOKED_AT = 100
"""Parts of answers that are looked at: more than the brakes let through in ten minutes."""


class Exchanges(Role):
    """The pace of chats. Only a chat's own task may change it; any task may read."""

    @query
    def recent(self, connection: Connection, key: ChatKey, *, since: float) -> tuple[Exchange, ...]:
        """The turns answered since a time (Unix seconds) and since the last loop, oldest first."""
        return recent_exchanges(connection, key, since=since)

    @transaction
    def stop_loop(self, connection: Connection, key: ChatKey, *, until: float, now: float) -> None:
        """Keep the bot out of a chat until a time, because it talks with a machine there."""
        connection.execute(
            "UPDATE chats SET paused_until = MAX(paused_until, ?), loop_until = ?, loop_at = ?"
            " WHERE channel = ? AND chat = ?",
            (until, until, now, *key),
        )


def recent_exchanges(connection: Connection, key: ChatKey, *, since: float) -> tuple[Exchange, ...]:
    """See `Exchanges.recent`; inside the caller's transaction or read."""
    answered = connection.execute(
        "SELECT turn_id, MIN(sent_at), MAX(sent_at) FROM (SELECT turn_id, sent_at"
        " FROM outbox WHERE channel = ? AND chat = ? ORDER BY id DESC LIMIT ?)"
        " WHERE turn_id IS NOT NULL AND sent_at > MAX(?, COALESCE("
        " (SELECT loop_at FROM chats WHERE channel = ? AND chat = ?), 0))"
        " GROUP BY turn_id ORDER BY turn_id",
        (*key, LOOKED_AT, since, *key),
    ).fetchall()
    return tuple(
        _exchange(connection, turn_id, said_from, said_until)
        for turn_id, said_from, said_until in answered
    )


def _exchange(
    connection: Connection, turn_id: int, said_from: float, said_until: float
) -> Exchange:
    rows = connection.execute(
        "SELECT message, received_at FROM messages WHERE turn_id = ? ORDER BY seq", (turn_id,)
    ).fetchall()
    contents = [read_message.decode(message).content for message, _ in rows]
    return Exchange(
        heard_at=rows[0][1] if rows else said_from,
        texts=tuple(content.body for content in contents if isinstance(content, Text)),
        said_from=said_from,
        said_until=said_until,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSnapshot:
    """What an earlier task of a chat, or an earlier process, has left behind."""

    chat: ChatRecord
    turn: Turn | None
    """The turn that has no outcome yet."""
    to_say: tuple[OutboxRow, ...]
    """What is still to be said, in order."""
    exchanges: tuple[Exchange, ...]
    """The last turns, oldest first."""
    waits: bool
    """True if the end of its pause means something."""
    notes: bool
    """True if a person has closed, or has, a message of which the thread does not know."""


class ChatSnapshots(Role):
    """Where chats stand. Any task may call it."""

    @query
    def of(self, connection: Connection, key: ChatKey, *, since: float) -> ChatSnapshot:
        """Where a chat stands now; of its turns those answered since a time (Unix seconds)."""
        waits, notes = signals(connection, key)
        return ChatSnapshot(
            chat=chat_record(connection, key),
            turn=active_turn(connection, key),
            to_say=open_rows(connection, key),
            exchanges=recent_exchanges(connection, key, since=since),
            waits=waits,
            notes=notes,
        )
