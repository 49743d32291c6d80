"""What a person does to a chat in the dashboard; each deed has its row in the audit.

The commands of the command line do the same to the file beside the daemon; see
`daemon.store.operator`.
"""

import sqlite3

from daemon.ledger import Arrival
from daemon.model import ChatKey, Message, Text, Webhook
from daemon.store.arrivals import take_in
from daemon.store.database import Database
from daemon.store.operator.door import write_audit

EVENT = "dashboard.send"
"""What the ledger calls the event that brings an agent's words from the dashboard."""

SOURCE = "web"
"""An agent at the dashboard counts as one at WhatsApp Web: see `daemon.store.echoes`."""


class ByHand:
    """The deeds of people in the dashboard. Called by the handlers of HTTP requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(
        self, key: ChatKey, text: str, *, name: str, deed: str, now: float, pause_until: float
    ) -> Arrival | None:
        """Let the agent ``name`` say something in a chat; durable on return.

        It waits in the outbox, and is taken in like an agent's message from the phone: the chat is
        paused until ``pause_until`` (0: it is not), and the words go into the thread as theirs.
        ``deed`` is the client's own name of this click: None, and nothing done, if it is known.
        Times are Unix seconds.
        """
        message = Message(
            id=f"dashboard-{deed}",
            key=key,
            kind="text",
            content=Text(body=text),
            from_me=True,
            source=SOURCE,
            author_name=name,
            sent_at=now,
        )

        def verb(connection: sqlite3.Connection) -> Arrival | None:
            known = connection.execute(
                "SELECT 1 FROM messages WHERE channel = ? AND id = ?", (key.channel, message.id)
            ).fetchone()
            if known:
                return None
            (row_id,) = connection.execute(
                "INSERT INTO outbox (channel, chat, body, author, created_at)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id",
                (*key, text, name, now),
            ).fetchone()
            event = connection.execute(
                "INSERT INTO events (received_at, channel, event) VALUES (?, ?, ?)",
                (now, key.channel, EVENT),
            )
            take_in(
                connection,
                Webhook(channel=key.channel, event=EVENT, messages=(message,)),
                event.lastrowid or 0,
                verdicts=[""],
                now=now,
                pause_until=pause_until,
            )
            write_audit(connection, EVENT, key.chat, f"outbox row {row_id}", now=now)
            return Arrival(key=key, what="agent", received_at=now)

        return await self._database.write(verb)

    async def pause(self, key: ChatKey, until: float, *, now: float) -> None:
        """Keep the bot out of a chat until a time, or let it in again with 0 (Unix seconds)."""

        def verb(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE chats SET paused_until = ?, loop_until = 0 WHERE channel = ? AND chat = ?",
                (until, *key),
            )
            deed, detail = ("pause", f"until {until:.0f}") if until else ("resume", "")
            write_audit(connection, f"dashboard.{deed}", key.chat, detail, now=now)

        await self._database.write(verb)

    async def note(self, deed: str, subject: str, detail: str, *, now: float) -> None:
        """Write down what was done elsewhere: labels at Whapi, a run in memory. Never a text."""
        await self._database.write(
            lambda connection: write_audit(
                connection, f"dashboard.{deed}", subject, detail, now=now
            )
        )
