"""The desk: whose a chat is, whether somebody has looked, notes, and prepared answers.

Functions with a connection work inside the caller's transaction.
"""

from daemon.domain.accounts import login_of
from daemon.domain.audit_chain import Actor
from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, named, query, transaction, writing

MOST_NOTES = 200
"""Of one chat, on its page."""
MOST_MARKED = 20
"""Of one chat, that the model reads: the newest."""
MOST_UNREAD = 50
"""The most chats that one answer to a browser has."""


def seen(connection: Connection, key: ChatKey) -> None:
    """Somebody has looked at a chat."""
    connection.execute(
        "UPDATE chats SET unread_at = 0 WHERE channel = ? AND chat = ? AND unread_at > 0", key
    )


class DeskRecords(Role):
    """What people do at the desk beside writing. Called by the dashboard's requests."""

    seen = writing(seen)

    @transaction
    def assign(
        self, connection: Connection, key: ChatKey, account: int | None, *, by: Actor, now: float
    ) -> bool:
        """Give a chat to an account (None: to nobody), which has to look; False if there is none.

        A disabled account, and one that only reads, get no chats.
        """
        name = ""
        if account is not None:
            row = connection.execute(
                "SELECT name FROM accounts WHERE id = ? AND disabled_at IS NULL"
                " AND role IN ('agent', 'operator')",
                (account,),
            ).fetchone()
            if row is None:
                return False
            name = row[0]
        before = _assignee(connection, key)
        if before == name:
            return True
        assign(connection, key, account)
        if account is not None and f"account {name}" != by.name:
            mark_unread(connection, key, now=now)
        write_audit(connection, by, "assign", key.chat, before=before, after=name, now=now)
        return True

    @transaction
    def add_note(
        self,
        connection: Connection,
        key: ChatKey,
        text: str,
        *,
        author: str,
        for_model: bool,
        action: str,
        by: Actor,
        now: float,
    ) -> None:
        """Add a note to a chat. ``for_model``: the model reads it as data.

        ``action`` is the client's id of this click: nothing is done if it is known.
        """
        row = connection.execute(
            "INSERT INTO notes (action, channel, chat, author, text, for_model, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (action) DO NOTHING RETURNING id",
            (action, *key, author, text, int(for_model), now),
        ).fetchone()
        if row is not None:
            write_audit(connection, by, "note", key.chat, after=f"note {row[0]}", now=now)

    @transaction
    def drop_note(
        self, connection: Connection, key: ChatKey, number: int, *, by: Actor, now: float
    ) -> bool:
        """Delete a note of a chat; False if there is none of that number."""
        done = connection.execute(
            "DELETE FROM notes WHERE channel = ? AND chat = ? AND id = ?", (*key, number)
        )
        if done.rowcount:
            write_audit(connection, by, "note", key.chat, before=f"note {number}", now=now)
        return bool(done.rowcount)

    @query
    def notes(self, connection: Connection, key: ChatKey) -> list[JsonObject]:
        """The newest notes of a chat, oldest first."""
        rows = connection.execute(
            "SELECT id, author, text, for_model, created_at AS at FROM notes"
            " WHERE channel = ? AND chat = ? ORDER BY id DESC LIMIT ?",
            (*key, MOST_NOTES),
        )
        return named(rows)[::-1]

    @query
    def unread(self, connection: Connection) -> list[JsonObject]:
        """The unread chats, newest first."""
        rows = connection.execute(
            "SELECT channel, chat, ref, COALESCE(NULLIF(contact_name, ''), name) AS name,"
            " assigned_to, unread_at AS at FROM chats WHERE unread_at > 0"
            " ORDER BY unread_at DESC LIMIT ?",
            (MOST_UNREAD,),
        )
        return named(rows)

    @query
    def colleagues(self, connection: Connection) -> list[JsonObject]:
        """Who can be given a chat: the number and name of each account."""
        rows = connection.execute(
            "SELECT id, name FROM accounts WHERE disabled_at IS NULL"
            " AND role IN ('agent', 'operator') ORDER BY login"
        )
        return named(rows)

    @query
    def answers(self, connection: Connection) -> list[JsonObject]:
        """The prepared answers, by name."""
        rows = connection.execute("SELECT id, name, text FROM prepared_answers ORDER BY name")
        return named(rows)

    @transaction
    def keep_answer(
        self, connection: Connection, name: str, text: str, *, by: Actor, now: float
    ) -> None:
        """Add a prepared answer, or replace the one of its name."""
        known = connection.execute(
            "SELECT 1 FROM prepared_answers WHERE name = ? AND text = ?", (name, text)
        ).fetchone()
        if known is not None:
            return
        connection.execute(
            "INSERT INTO prepared_answers (name, text, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET text = excluded.text",
            (name, text, now),
        )
        write_audit(connection, by, "prepared answer", name, after="kept", now=now)

    @transaction
    def drop_answer(self, connection: Connection, number: int, *, by: Actor, now: float) -> None:
        """Delete a prepared answer; does nothing if there is none of that number."""
        rows = connection.execute(
            "DELETE FROM prepared_answers WHERE id = ? RETURNING name", (number,)
        ).fetchall()
        for (name,) in rows:
            write_audit(connection, by, "prepared answer", name, before="kept", now=now)


def mark_unread(connection: Connection, key: ChatKey, *, now: float) -> None:
    """A chat waits for a person from now on, until somebody looks. ``now``: Unix seconds."""
    connection.execute("UPDATE chats SET unread_at = ? WHERE channel = ? AND chat = ?", (now, *key))


def mark_turn_unread(connection: Connection, turn_id: int, *, now: float) -> None:
    """The chat of a turn waits for a person from now on, until somebody looks."""
    row = connection.execute("SELECT channel, chat FROM turns WHERE id = ?", (turn_id,)).fetchone()
    mark_unread(connection, ChatKey(*row), now=now)


def assign(connection: Connection, key: ChatKey, account: int | None) -> None:
    """Make a chat an account's; None: nobody's."""
    connection.execute(
        "UPDATE chats SET assigned_to = ? WHERE channel = ? AND chat = ?", (account, *key)
    )


def take(connection: Connection, key: ChatKey, by: Actor) -> None:
    """Somebody deals with a chat: it is theirs if it was nobody's, and they have looked."""
    seen(connection, key)
    kind, _, name = by.name.partition(" ")
    if kind == "account" and not _assignee(connection, key):
        connection.execute(
            "UPDATE chats SET assigned_to = (SELECT id FROM accounts WHERE login = ?)"
            " WHERE channel = ? AND chat = ?",
            (login_of(name), *key),
        )


def marked_notes(connection: Connection, key: ChatKey) -> tuple[str, ...]:
    """The newest notes of a chat that the model reads, oldest first, each with its author."""
    rows = connection.execute(
        "SELECT author, text FROM notes WHERE channel = ? AND chat = ? AND for_model = 1"
        " ORDER BY id DESC LIMIT ?",
        (*key, MOST_MARKED),
    ).fetchall()
    return tuple(f"{author}: {text}" for author, text in reversed(rows))


def _assignee(connection: Connection, key: ChatKey) -> str:
    row = connection.execute(
        "SELECT a.name FROM chats c JOIN accounts a ON a.id = c.assigned_to"
        " WHERE c.channel = ? AND c.chat = ?",
        key,
    ).fetchone()
    return row[0] if row else ""
