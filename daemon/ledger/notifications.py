"""Notifications of people outside of WhatsApp: sent, and still to be sent."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from daemon.domain.messages import ChatKey
from daemon.domain.notification_texts import Language, Occasion, Reason, escalation
from daemon.domain.states import FAILED, PENDING, SENT
from daemon.ledger.drivers.port import Connection, Role, query, transaction
from daemon.ledger.messages import read_message

_json = msgspec.json.Encoder()

SEEN_SECONDS = 60.0
"""How often it is recorded that something still lasts."""

NEWEST_ESCALATIONS = 200
"""Escalations that are looked through: there is no index by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A notification that is due. Times are Unix seconds."""

    id: int
    reason: Reason
    line: str
    reached: frozenset[str]
    """The targets that have accepted it."""
    tries: int
    noted_at: float


LASTING = "(subject = '' OR reason = 'channel')"
"""The condition of what lasts for a while, and may come again."""


class Notifications(Role):
    """The record of notifications. One task uses it."""

    async def note(
        self, occasions: Sequence[Occasion], *, quiet_seconds: float, now: float
    ) -> None:
        """Record new occasions, and that lasting ones were seen again.

        A lasting one is new again if it was not seen for ``quiet_seconds``.
        """
        seen = await self._database.read(lambda connection: _seen(connection, now))
        new = [(o.reason, o.subject, *(o.key or ("", "")), o.line, now, now) for o in occasions]
        new = [row for row in new if row[:2] not in seen]
        if not new:
            return

        def write(connection: Connection) -> None:
            connection.executemany(
                f"DELETE FROM notifications WHERE reason = ? AND {LASTING} AND seen_at < ?",
                [(row[0], now - quiet_seconds) for row in new],
            )
            connection.executemany(
                "INSERT INTO notifications (reason, subject, channel, chat, line, noted_at,"
                " seen_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
                " ON CONFLICT (reason, subject) DO UPDATE SET seen_at = excluded.seen_at",
                new,
            )

        await self._database.write(write)

    @query
    def due(
        self, connection: Connection, *, now: float, limit: int, longest_wait: float = math.inf
    ) -> tuple[Pending, ...]:
        """Notifications to be sent now, the oldest first.

        A clock that was ahead has planned what is more than ``longest_wait`` seconds away.
        """
        rows = connection.execute(
            "SELECT id, reason, line, reached, tries, noted_at FROM notifications"
            f" WHERE state = '{PENDING}' AND (next_at <= ? OR next_at > ?) ORDER BY id LIMIT ?",
            (now, now + longest_wait, limit),
        )
        return tuple(
            Pending(
                id=number,
                reason=reason,
                line=line,
                reached=frozenset(msgspec.json.decode(reached)),
                tries=tries,
                noted_at=noted_at,
            )
            for number, reason, line, reached, tries, noted_at in rows
        )

    @transaction
    def settle(
        self,
        connection: Connection,
        pending: Pending,
        reached: Collection[str],
        *,
        again_at: float,
    ) -> None:
        """A try has ended: these targets have accepted it.

        ``again_at`` is when the others are tried again, 0 if there are none, below 0 if they are
        given up.
        """
        state = PENDING if again_at > 0 else FAILED if again_at < 0 else SENT
        line = "line" if state == PENDING else "''"
        connection.execute(
            "UPDATE notifications SET state = ?, reached = ?, tries = tries + 1, next_at = ?,"
            f" line = {line} WHERE id = ? AND state = '{PENDING}'",
            (state, _json.encode(sorted(reached)).decode(), max(again_at, 0), pending.id),
        )

    @transaction
    def forget(self, connection: Connection, *, noted_before: float) -> None:
        """Forget old notifications."""
        connection.execute("DELETE FROM notifications WHERE noted_at < ?", (noted_before,))

    @query
    def escalations(
        self, connection: Connection, *, since: float, language: Language
    ) -> tuple[Occasion, ...]:
        """The chats that were handed to a person since a time, as occasions."""
        rows = connection.execute(
            "SELECT e.turn_id, t.channel, t.chat, COALESCE(NULLIF(c.contact_name, ''), c.name,"
            " ''), e.reason, e.summary, e.urgency FROM escalations e"
            " JOIN turns t ON t.id = e.turn_id"
            " LEFT JOIN chats c ON c.channel = t.channel AND c.chat = t.chat"
            " WHERE e.created_at >= ? AND e.turn_id IN"
            " (SELECT turn_id FROM escalations ORDER BY turn_id DESC LIMIT ?)",
            (since, NEWEST_ESCALATIONS),
        ).fetchall()
        return tuple(
            escalation(
                turn_id,
                ChatKey(channel, chat),
                name=name,
                reason=reason,
                summary=summary,
                urgency=urgency,
                inbound=_customers_words(connection, turn_id),
                language=language,
            )
            for turn_id, channel, chat, name, reason, summary, urgency in rows
        )


def _customers_words(connection: Connection, turn_id: int) -> str:
    """The texts of a turn."""
    rows = connection.execute(
        "SELECT message FROM messages WHERE turn_id = ? ORDER BY seq", (turn_id,)
    )
    contents = [read_message.decode(message).content for (message,) in rows]
    return " ".join(filter(None, (getattr(content, "body", "") for content in contents)))


def _seen(connection: Connection, now: float) -> frozenset[tuple[str, str]]:
    """Reason and subject of what needs no write: recorded once, or seen lately."""
    rows = connection.execute(
        f"SELECT reason, subject FROM notifications WHERE NOT {LASTING} OR seen_at > ?",
        (now - SEEN_SECONDS,),
    )
    return frozenset((reason, subject) for reason, subject in rows)
