"""Operators' actions on a chat in the dashboard; each has its row in the audit.

Commands do the same on a connection beside the daemon; see `daemon.ledger.admin`.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

from daemon.domain.audit_chain import Action, Actor
from daemon.domain.messages import ChatKey, JsonObject, Message, Text, Webhook
from daemon.domain.records import Arrival, NewPart
from daemon.domain.states import DEAD, DROPPED, FAILED, PENDING
from daemon.ledger.announcements import contact_changed
from daemon.ledger.arrivals import take_in
from daemon.ledger.audit import write_audit
from daemon.ledger.desk import take
from daemon.ledger.drivers.port import Connection, Role, query, transaction, writing
from daemon.ledger.handover import chats_named, give_back, mark_done, pause
from daemon.ledger.outbox import queue_part
from daemon.ledger.people import REMEMBERED
from daemon.ledger.statuses import reopen

EVENT = "dashboard.send"
"""The name of the event that brings an agent's words from the dashboard."""

SOURCE = "web"
"""Agents at the dashboard count as at WhatsApp Web; see `daemon.domain.transitions.sends`."""


Obstacle = Literal["", "unknown", "not refused", "paused", "replayed"]
"""Why a send was left as it is; empty if it was not. ``unknown``: there is no such send."""


def done_by_hand(
    connection: Connection, chat: str, *, channel: str | None = None, by: Actor, now: float
) -> tuple[tuple[ChatKey, ...], int]:
    """Count what waits for a person in a chat as handled; a pause goes on.

    Gives the chats concerned, and how many messages were closed.
    """
    keys, closed = chats_named(connection, chat, channel), 0
    for key in keys:
        messages, is_news = mark_done(connection, key)
        closed += messages
        if is_news:
            write_audit(connection, by, "done", chat, after=f"{messages} messages", now=now)
    return keys, closed


class OperatorActions(Role):
    """Actions of people in the dashboard. Called by the handlers of HTTP requests."""

    @transaction
    def send(
        self,
        connection: Connection,
        key: ChatKey,
        text: str,
        *,
        name: str,
        action: str,
        by: Actor,
        now: float,
        pause_until: float,
        payload: JsonObject | None = None,
        quoted: str = "",
        kind: str = "text",
    ) -> tuple[int, Arrival | None]:
        """Queue a message of the agent ``name`` in a chat; durable on return.

        It waits in the outbox, and counts as an agent's message from the phone: the chat is paused
        until ``pause_until`` (0: it is not), and the words go into the thread as the agent's.
        ``payload``: of a message that is more than its words, such as a template.
        ``action`` is the client's name of this click: nothing is done if it is known. Gives the
        outbox row, and what its chat's task looks at. Times are Unix seconds.
        """
        known = connection.execute(
            "SELECT id FROM outbox WHERE action = ? AND action != ''", (action,)
        ).fetchone()
        if known:
            return int(known[0]), None
        message = Message(
            id=f"dashboard-{action}",
            key=key,
            kind="text",
            content=Text(body=_words(kind, text, payload)),
            from_me=True,
            source=SOURCE,
            author_name=name,
            sent_at=now,
        )
        (row_id,) = connection.execute(
            "INSERT INTO outbox (channel, chat, body, author, payload, action, quoted, kind,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                *(*key, text, name, msgspec.json.encode(payload or {}).decode(), action),
                *(quoted, kind, now),
            ),
        ).fetchone()
        (event_id,) = connection.execute(
            "INSERT INTO events (received_at, channel, event) VALUES (?, ?, ?) RETURNING id",
            (now, key.number, EVENT),
        ).fetchone()
        take_in(
            connection,
            Webhook(channel=key.number, event=EVENT, messages=(message,)),
            event_id,
            verdicts=[""],
            now=now,
            pause_until=pause_until,
            announces=False,
        )
        take(connection, key, by)
        write_audit(connection, by, "send", key.chat, after=f"outbox row {row_id}", now=now)
        return row_id, Arrival(key=key, what="agent", received_at=now)

    @transaction
    def react(
        self,
        connection: Connection,
        key: ChatKey,
        part: NewPart,
        *,
        action: str,
        by: Actor,
        now: float,
    ) -> None:
        """Queue a reaction to a message; it pauses nothing. ``action``: see `send`."""
        known = connection.execute(
            "SELECT 1 FROM outbox WHERE action = ? AND action != ''", (action,)
        ).fetchone()
        if known is not None:
            return
        row_id = queue_part(connection, key, None, part, now=now)
        connection.execute("UPDATE outbox SET action = ? WHERE id = ?", (action, row_id))
        write_audit(connection, by, "send", key.chat, after=f"outbox row {row_id}", now=now)

    @transaction
    def pause(
        self,
        connection: Connection,
        chat: str,
        until: float,
        *,
        channel: str | None = None,
        by: Actor,
        now: float,
    ) -> tuple[tuple[ChatKey, ...], tuple[ChatKey, ...]]:
        """Keep the bot out of a chat until a time (Unix seconds).

        On one channel, or on all that know the number. Gives the chats concerned, and those of them
        that the bot had until now.
        """
        keys = chats_named(connection, chat, channel)
        taken = []
        for key in keys:
            before = pause(connection, key, until, now=now).paused_until
            if before <= now:
                taken.append(key)
            take(connection, key, by)
            if before != until:
                _write_pause(connection, by, "pause", key, before=before, after=until, now=now)
        return keys, tuple(taken)

    @transaction
    def give_back(
        self,
        connection: Connection,
        chat: str,
        *,
        channel: str | None = None,
        by: Actor,
        now: float,
    ) -> tuple[ChatKey, ...]:
        """Let the bot answer in a chat again, also what waits there for a person; like `pause`."""
        keys = chats_named(connection, chat, channel)
        for key in keys:
            before, is_news = give_back(connection, key, now=now)
            if is_news:
                until = before.paused_until
                _write_pause(connection, by, "resume", key, before=until, after=0, now=now)
        return keys

    done = writing(done_by_hand)

    @query
    def chat_of_send(self, connection: Connection, row_id: int) -> ChatKey | None:
        """The chat of a row of the outbox; None if there is no such row."""
        return _refused_row(connection, row_id)[0]

    @transaction
    def set_consent(
        self, connection: Connection, key: ChatKey, *, opted_out: bool, by: Actor, now: float
    ) -> None:
        """Note whether a contact wants no messages that they have not asked for."""
        condition = "opted_out_at = 0" if opted_out else "opted_out_at > 0"
        done = connection.execute(
            f"UPDATE chats SET opted_out_at = ? WHERE channel = ? AND chat = ? AND {condition}",
            (now if opted_out else 0, *key),
        )
        if done.rowcount:
            contact_changed(connection, key, "opt_out", now=now)
            after = "opted out" if opted_out else "opted in"
            write_audit(connection, by, "consent", key.chat, after=after, now=now)

    @transaction
    def send_again(
        self,
        connection: Connection,
        row_id: int,
        *,
        agents_chats: Collection[str],
        by: Actor,
        now: float,
    ) -> tuple[Obstacle, ChatKey | None]:
        """Send a message of ours again that was refused; durable on return.

        Never a row whose outcome is unknown, a message of the bot's in a paused chat (but for
        ``agents_chats``, which have no pause), or one whose question was replayed and is answered
        again. Its turn counts as answered again, so a replay does not send it twice. Gives the
        obstacle, and the chat whose task has to look. ``now``: Unix seconds.
        """
        key, obstacle = _refused_row(connection, row_id)
        if key is None or obstacle:
            return obstacle, key
        if key.chat not in agents_chats and _keeps_out(connection, row_id, now):
            return "paused", key
        if _was_replayed(connection, row_id):
            return "replayed", key
        connection.execute(
            "UPDATE outbox SET state = ?, message_id = '', status = '', error = '' WHERE id = ?",
            (PENDING, row_id),
        )
        if not _is_interim(connection, row_id):
            reopen(connection, row_id, now=now)
        detail = f"outbox row {row_id}"
        write_audit(connection, by, "send again", key.chat, after=detail, now=now)
        return "", key

    @transaction
    def drop_send(self, connection: Connection, row_id: int, *, by: Actor, now: float) -> Obstacle:
        """Drop a refused send of ours: it is neither listed nor sent any more.

        Its turn keeps its outcome. ``now``: Unix seconds.
        """
        key, obstacle = _refused_row(connection, row_id)
        if key is None or obstacle:
            return obstacle
        connection.execute("UPDATE outbox SET state = ? WHERE id = ?", (DROPPED, row_id))
        detail = f"outbox row {row_id}"
        write_audit(connection, by, "drop send", key.chat, after=detail, now=now)
        return ""


def _words(kind: str, text: str, payload: JsonObject | None) -> str:
    """The words of a message for the thread: of a file its name, too."""
    if kind == "text":
        return text
    name = str((payload or {}).get("filename", ""))
    return f"[{kind}: {name}] {text}".strip()


def _write_pause(
    connection: Connection,
    by: Actor,
    action: Action,
    key: ChatKey,
    *,
    before: float,
    after: float,
    now: float,
) -> None:
    """Audit that a chat was paused or given back."""
    write_audit(
        connection,
        by,
        action,
        key.chat,
        before=_until(before, now),
        after=_until(after, now),
        now=now,
    )


def _until(until: float, now: float) -> str:
    """A pause as the audit has it; empty if there is none any more."""
    return f"paused until {until:.0f}" if until > now else ""


def _refused_row(connection: Connection, row_id: int) -> tuple[ChatKey | None, Obstacle]:
    """The chat of a send, and whether it is one that was refused for good."""
    row = connection.execute(
        f"SELECT channel, chat, state FROM outbox WHERE id = ? AND {REMEMBERED}", (row_id,)
    ).fetchone()
    if row is None:
        return None, "unknown"
    return ChatKey(row[0], row[1]), "" if row[2] == FAILED else "not refused"


def _keeps_out(connection: Connection, row_id: int, now: float) -> bool:
    """True if the words of a row are the bot's, and a person has its chat."""
    row = connection.execute(
        "SELECT 1 FROM outbox o JOIN chats c ON c.channel = o.channel AND c.chat = o.chat"
        " WHERE o.id = ? AND o.author = '' AND c.paused_until > ?",
        (row_id, now),
    ).fetchone()
    return row is not None


def _is_interim(connection: Connection, row_id: int) -> bool:
    """True for an interim message of a tool, which is no part of the answer."""
    row = connection.execute(
        "SELECT 1 FROM interim_messages WHERE outbox_id = ?", (row_id,)
    ).fetchone()
    return row is not None


def _was_replayed(connection: Connection, row_id: int) -> bool:
    """True if the turn of a row was given up, and its messages were put back in since."""
    row = connection.execute(
        "SELECT 1 FROM outbox o JOIN turns t ON t.id = o.turn_id WHERE o.id = ?"
        " AND t.outcome = ? AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.turn_id = t.id AND m.state = ?)",
        (row_id, DEAD, DEAD),
    ).fetchone()
    return row is not None
