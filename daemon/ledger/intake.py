"""Accepting webhook calls: each message once, echoes recognised, changes applied.

One call is one write: when it returns, the whole content of the call is durable.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from daemon.domain.messages import Call, ChatKey, Message, Webhook
from daemon.domain.records import Accepted, Arrival, NewPart, StoredMessage
from daemon.errors import StoreUnavailable
from daemon.ledger.arrivals import insert_event, take_in
from daemon.ledger.drivers.port import Connection, Role, Transactions, Write, query, transaction
from daemon.ledger.messages import IN_CHAT, UNANSWERED, WAITING, in_chat, stored_message
from daemon.ledger.outbox import queue_notice
from daemon.ledger.people import canonical
from daemon.ledger.plain_texts import TextCall, is_plain
from daemon.ledger.references import Judging, judge
from daemon.ledger.statuses import NEVER, Tariff
from daemon.ledger.threads import append
from daemon.system.private_files import make_folder, new_file

ROW_BODY_BYTES = 64 * 1024
"""Larger webhook bodies go to a file: a row of megabytes would hold up every other write."""


class Inbox(Role):
    """Inbound messages. Used by the webhook handler and by chats; any task may call it."""

    def __init__(
        self,
        database: Transactions,
        folder: Path | None,
        contact: bytes = b"",
    ) -> None:
        """``contact`` is the key of the hashes of contacts.

        ``folder``: of large bodies; None: they stay in their rows, where every node reads them.
        """
        super().__init__(database)
        self._folder = folder
        self._contact = contact

    async def accept(
        self,
        webhook: Webhook,
        body: bytes,
        *,
        verdicts: Sequence[str] | Judging,
        now: float,
        pause_until: float,
        resend_since: float = NEVER,
        tariff: Tariff | None = None,
    ) -> Accepted:
        """Store one webhook call and all it says; durable on return.

        ``verdicts`` has one word for each of the call's messages: empty to answer it, else the
        reason why it is ignored; or it says how the write is to judge them by what the ledger
        knows. ``now`` is Unix seconds; a human agent's message pauses its chat until
        ``pause_until`` (0: no pause). A send that WhatsApp could not deliver is sent again, once,
        if it was created at ``resend_since`` (Unix seconds) or later. ``tariff``: what messages
        cost, if the gateway bills them.

        Raises StoreUnavailable if it is not stored; then nothing of the call is.
        """
        body_file = ""
        if self._folder is not None and len(body) > ROW_BODY_BYTES:
            body_file = await trio.to_thread.run_sync(_write_durably, self._folder, body)

        def write(connection: Connection) -> Accepted:
            event_id = insert_event(connection, webhook, body, body_file, now)
            judged, words = webhook, verdicts
            if isinstance(words, Judging):
                judged, words = judge(connection, webhook, words, now)
            return take_in(
                connection,
                judged,
                event_id,
                verdicts=words,
                now=now,
                pause_until=pause_until,
                resend_since=resend_since,
                contact=self._contact,
                tariff=tariff,
            )

        operation: Write[Accepted] = write
        text = webhook.only_text
        if text is not None and isinstance(verdicts, Judging) and not body_file:
            operation = self.text_call(webhook, text, body, judging=verdicts, now=now) or write
        return await self._database.write(operation)

    def text_call(
        self, webhook: Webhook, text: Message, body: bytes, *, judging: Judging, now: float
    ) -> TextCall | None:
        """The write of a call with one plain text, as `accept` makes it; None for another text.

        Any thread may call it.
        """
        if len(body) > ROW_BODY_BYTES or not is_plain(text, webhook, judging):
            return None
        return TextCall(webhook, text, body, judging=judging, now=now, contact=self._contact)

    @query
    def waiting(
        self, connection: Connection, key: ChatKey, *, from_me: bool
    ) -> tuple[StoredMessage, ...]:
        """Messages that no turn has taken yet: the customer's, or those of a human agent."""
        rows = connection.execute(
            f"SELECT seq, message, received_at FROM messages WHERE {IN_CHAT}"
            f" AND {WAITING} AND from_me = ? ORDER BY seq",
            (*in_chat(key), int(from_me)),
        )
        return tuple(stored_message(*row) for row in rows)

    @query
    def chats_with_work(self, connection: Connection) -> tuple[Arrival, ...]:
        """Everything that waits, as arrivals in order: what the last process left behind."""
        # Ordered here: asked to, SQLite would rather read the whole table by its key.
        rows = connection.execute(
            f"SELECT seq, channel, chat, from_me, kind, received_at FROM messages WHERE {WAITING}"
        )
        return tuple(
            Arrival(
                key=ChatKey(channel, chat),
                what="agent" if from_me else "message",
                kind=kind,
                received_at=received_at,
            )
            for _, channel, chat, from_me, kind, received_at in sorted(rows)
        )

    @query
    def chats_waiting(self, connection: Connection, *, older_than: float) -> tuple[ChatKey, ...]:
        """The chats with a message that no turn has taken and that came before a time."""
        rows = connection.execute(
            f"SELECT DISTINCT channel, chat FROM messages WHERE {WAITING} AND received_at < ?",
            (older_than,),
        )
        return tuple(ChatKey(*row) for row in rows)

    @query
    def oldest_unanswered(self, connection: Connection) -> float | None:
        """When the oldest message that the bot is to answer arrived, Unix seconds."""
        row = connection.execute(
            f"SELECT MIN(received_at) FROM messages WHERE {UNANSWERED} AND from_me = 0"
        ).fetchone()
        oldest: float | None = row[0]
        return oldest


def _write_durably(folder_path: Path, body: bytes) -> str:
    """Write a large body to a file, durably, before the row that names it; gives its name."""
    path = folder_path / f"{hashlib.sha256(body).hexdigest()}.json"
    try:
        make_folder(path.parent)
        draft = path.with_suffix(f".{os.urandom(4).hex()}")
        with new_file(draft) as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(f"cannot store a large event: {error.strerror}") from error
    return path.name


REPLY_EVERY_SECONDS = 3600.0
"""Who calls several times gets one reply, and who calls again tomorrow another."""

MISSED = frozenset({"missed", "canceled", "cancelled"})
"""Results of calls that were not taken and are over."""

NOTE = "[called us over WhatsApp]"


class Calls(Role):
    """Calls to our number: noted once, and answered with a line. Used by the webhook handler."""

    @transaction
    def take_in(
        self, connection: Connection, calls: Sequence[Call], *, reply: NewPart | None, now: float
    ) -> tuple[ChatKey, ...]:
        """Note calls, each once whatever the gateway repeats, and queue the reply to missed ones.

        ``reply`` None: there is none. Gives the chats with a reply to send now. There
        is no reply in a paused chat, within an hour of the last one, or to a call an hour old.
        """
        due = []
        for call in calls:
            known = msgspec.structs.replace(call, key=canonical(connection, call.key))
            _note(connection, known, now)
            if (
                reply is not None
                and _is_due(connection, known, now)
                and queue_notice(connection, known.key, reply, now=now)
            ):
                due.append(known.key)
        return tuple(due)


def _note(connection: Connection, call: Call, now: float) -> None:
    new = connection.execute(
        "INSERT INTO calls (channel, id, chat, noted_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (channel, id) DO NOTHING",
        (call.key.number, call.id, call.key.chat, now),
    ).rowcount
    begun = connection.execute(
        "SELECT 1 FROM thread_items WHERE channel = ? AND chat = ? LIMIT 1", call.key
    ).fetchone()
    if new and begun:
        append(connection, call.key, None, [{"role": "user", "content": NOTE}], now=now)


def _is_due(connection: Connection, call: Call, now: float) -> bool:
    """Claim the reply for this call, if it gets one."""
    if call.status not in MISSED or (call.at and now - call.at > REPLY_EVERY_SECONDS):
        return False
    paused = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND paused_until > ?", (*call.key, now)
    ).fetchone()
    sent_before = connection.execute(
        "SELECT 1 FROM calls WHERE channel = ? AND chat = ? AND replied_at > ? LIMIT 1",
        (*call.key, now - REPLY_EVERY_SECONDS),
    ).fetchone()
    if paused or sent_before:
        return False
    taken = connection.execute(
        "UPDATE calls SET replied_at = ? WHERE channel = ? AND id = ? AND replied_at = 0",
        (now, call.key.number, call.id),
    )
    return bool(taken.rowcount)
