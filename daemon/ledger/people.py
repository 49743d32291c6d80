"""People: two ids of one person are one chat, and an opt-out outlives the erasure of a person.

A private chat may appear as ``573001234567@s.whatsapp.net`` and as ``<digits>@lid``. There is no
way to ask for the number behind a lid, so the pair is learnt from a message that names both, or by
asking for the lid of a number.

An opt-out is kept as a tombstone, under a keyed hash of the chat. The key is a file beside the
store, so the store, or a backup of it, does not identify them.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path

from daemon.domain.ids import chat_of, is_alias, local_part, phone_digits
from daemon.domain.labels import joined_labels
from daemon.domain.messages import ChatKey, IdentityChange, Message
from daemon.domain.records import Fact, Turn
from daemon.domain.states import TURN_DONE, UNSETTLED
from daemon.domain.transitions.handover import joined
from daemon.ledger import announcements
from daemon.ledger.drivers.port import (
    Connection,
    Role,
    listed,
    marks,
    reading,
    transaction,
    writing,
)
from daemon.ledger.handover import change_hold, hold_of
from daemon.system.private_files import new_file

FORGOTTEN = "forgotten-"
"""Begins the chat id of forgotten persons, in all rows of theirs that stay."""

REMEMBERED = f"chat NOT LIKE '{FORGOTTEN}%'"
"""The condition of rows whose person was not forgotten."""

_TABLES_BY_CHAT = (
    *("outbox", "thread_items", "calls", "notifications", "knowledge_questions"),
    "webhook_deliveries",
    "reminders",
    "enquiries",
    "notes",
)
_TABLES_BY_NAME = ("messages", "turns")
"""Tables whose index by chat is over number and chat as one text."""


def join(connection: Connection, alias: ChatKey, chat: str, *, now: float) -> bool:
    """Learn that ``alias`` is the same person as ``chat``; True if that is news.

    Everything of the alias moves to the chat. False, and nothing done, while the task of the
    alias has a turn or an unsettled send: a second task would take that send for one that a
    crash has cut. The pair is learnt again with the person's next message.
    """
    if alias.chat == chat or canonical(connection, alias).chat == chat:
        return False
    busy = connection.execute(
        "SELECT 1 FROM turns WHERE channel = :number AND chat = :chat"
        f" AND state != '{TURN_DONE}' UNION ALL SELECT 1 FROM outbox"
        f" WHERE channel = :number AND chat = :chat AND state IN ({listed(UNSETTLED)}) LIMIT 1",
        alias._asdict(),
    ).fetchone()
    if busy:
        return False
    if is_alias(alias.chat):  # a number that was given up may become another person's
        connection.execute(
            "INSERT INTO aliases (channel, alias, chat) VALUES (?, ?, ?)"
            " ON CONFLICT (channel, alias) DO UPDATE SET chat = excluded.chat",
            (*alias, chat),
        )
    connection.execute("UPDATE aliases SET chat = ? WHERE channel = ? AND chat = ?", (chat, *alias))
    for table in _TABLES_BY_CHAT:
        connection.execute(
            f"UPDATE {table} SET chat = ? WHERE channel = ? AND chat = ?",
            (chat, *alias),
        )
    for table in _TABLES_BY_NAME:
        connection.execute(
            f"UPDATE {table} SET chat = ? WHERE channel || '/' || chat = ?",
            (chat, "/".join(alias)),
        )
    connection.execute(
        "UPDATE facts SET chat = ? WHERE channel = ? AND chat = ? AND fact NOT IN"
        " (SELECT fact FROM facts WHERE channel = ? AND chat = ?)",
        (chat, *alias, alias.number, chat),
    )
    connection.execute("DELETE FROM facts WHERE channel = ? AND chat = ?", alias)
    _join_chats(connection, alias, ChatKey(alias.number, chat), now)
    connection.execute(
        "INSERT INTO usage_days (day, channel, chat, tokens, micros, gateway_micros,"
        " pardoned_tokens, pardoned_micros, notified) SELECT day, channel, ?, tokens, micros,"
        " gateway_micros, pardoned_tokens, pardoned_micros, notified FROM usage_days"
        " WHERE channel = ? AND chat = ?"
        " ON CONFLICT (day, channel, chat) DO UPDATE SET"
        " tokens = usage_days.tokens + excluded.tokens,"
        " micros = usage_days.micros + excluded.micros,"
        " gateway_micros = usage_days.gateway_micros + excluded.gateway_micros,"
        " pardoned_tokens = usage_days.pardoned_tokens + excluded.pardoned_tokens,"
        " pardoned_micros = usage_days.pardoned_micros + excluded.pardoned_micros,"
        " notified = CASE excluded.notified WHEN 1 THEN 1 ELSE usage_days.notified END",
        (chat, *alias),
    )
    connection.execute("DELETE FROM usage_days WHERE channel = ? AND chat = ?", alias)
    # The heads of both threads go: what they stand for interleaves, and is summed up again.
    connection.execute(
        "DELETE FROM thread_heads WHERE channel = ? AND chat IN (?, ?)",
        (alias.number, alias.chat, chat),
    )
    return True


class Identities(Role):
    """The chats that are of one person. Any task may call it."""

    async def canonical(self, key: ChatKey) -> ChatKey:
        """The canonical chat of this one: itself, unless it is a known alias."""
        if not is_alias(key.chat):
            return key
        return await self._database.read(lambda connection: canonical(connection, key))

    join = writing(join)


def canonical(connection: Connection, key: ChatKey) -> ChatKey:
    """See `Identities.canonical`; inside the caller's transaction."""
    if not is_alias(key.chat):
        return key
    row = connection.execute(
        "SELECT chat FROM aliases WHERE channel = ? AND alias = ?", key
    ).fetchone()
    return ChatKey(key.number, row[0]) if row else key


def shown_pair(message: Message) -> str:
    """The phone chat that a message under a lid shows to be the same person; empty if none."""
    if message.from_me or not is_alias(message.key.chat):
        return ""
    if message.author == local_part(message.key.chat):
        return ""  # the lid without its ending, no phone number
    return chat_of(message.author) if message.author.isdecimal() else ""


def follow(connection: Connection, change: IdentityChange, *, now: float) -> None:
    """Follow a person to their new ids: their messages stay in one chat.

    That is the chat of their phone number, the new one if there is one, else of their new id. An id
    whose task is at work stays apart until a message names it and another one. Inside the caller's
    transaction.
    """
    before = [canonical(connection, ChatKey(change.number, name)).chat for name in change.before]
    phones = [name for name in (*change.after, *before) if phone_digits(name)]
    home = next(iter((*phones, *change.after)))
    for name in dict.fromkeys((*change.before, *before, *change.after)):
        join(connection, ChatKey(change.number, name), home, now=now)


def _join_chats(connection: Connection, alias: ChatKey, key: ChatKey, now: float) -> None:
    """Make one row of the two of a person."""
    kept = (
        "first_seen_at, apologised_at, assigned_to, labels, unread_at, opted_out_at, consent_at,"
        " forgotten_at, customer_wrote_at"
    )
    read = f"SELECT name, contact_name, last_activity_at, {kept} FROM chats"
    found = connection.execute(f"{read} WHERE channel = ? AND chat = ?", alias).fetchone()
    if found is None:
        return
    other = connection.execute(f"{read} WHERE channel = ? AND chat = ?", key).fetchone()
    hold = hold_of(connection, alias)
    connection.execute("DELETE FROM chats WHERE channel = ? AND chat = ?", alias)
    if other is None:
        connection.execute(
            f"INSERT INTO chats (channel, chat, name, contact_name, last_activity_at, {kept})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, *found),
        )
    else:
        whose = found[5] if other[5] is None else other[5]
        labels, latest = joined_labels(other[6], found[6]), map(max, found[-5:], other[-5:])
        connection.execute(
            "UPDATE chats SET first_seen_at = ?, assigned_to = ?, labels = ?, unread_at = ?,"
            " opted_out_at = ?, consent_at = ?, forgotten_at = ?, customer_wrote_at = ?"
            " WHERE channel = ? AND chat = ?",
            (min(found[3], other[3]), whose, labels, *latest, *key),
        )
    change_hold(connection, key, lambda mine: joined(mine, hold))
    announcements.contact_changed(connection, key, "identity", before=alias.chat, now=now)


KEY_FILE = "contact.key"
KEY_BYTES = 32


def contact_key(data_dir: Path, wanted: bytes = b"") -> bytes:
    """The key of all hashes of contacts, made if there is none yet. Raises OSError.

    ``wanted``: the one to be made; empty: a new one.
    """
    path = data_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = wanted or secrets.token_bytes(KEY_BYTES)
        with new_file(path) as file:
            file.write(key)
        return key


def keep_contact_key(data_dir: Path, key: bytes) -> None:
    """Make this the key of all hashes of contacts here. Blocks; raises OSError."""
    path = data_dir / KEY_FILE
    if contact_key(data_dir) == key:
        return
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    with new_file(draft) as file:
        file.write(key)
    draft.replace(path)


def tombstone_name(contact: bytes, key: ChatKey) -> str:
    """The name of a chat in `tombstones`; ``contact`` is the key of the hash."""
    text = f"tombstone\0{key.number}\0{key.chat}".encode()
    return hmac.new(contact, text, hashlib.sha256).hexdigest()


def bury(
    connection: Connection,
    contact: bytes,
    keys: Sequence[ChatKey],
    *,
    forgotten_at: float,
) -> None:
    """Keep the opt-out of a person who is erased, inside the caller's transaction.

    ``keys`` are all ids under which the person may write again. ``forgotten_at``: Unix seconds; 0
    if their chat is only too old.
    """
    for channel in {key.number for key in keys}:
        names = [key.chat for key in keys if key.number == channel]
        count, opted_out_at, before = connection.execute(
            "SELECT COUNT(*), COALESCE(MAX(opted_out_at), 0), COALESCE(MAX(forgotten_at), 0)"
            f" FROM chats WHERE channel = ? AND chat IN ({marks(names)})",
            (channel, *names),
        ).fetchone()
        last = max(forgotten_at, before)
        if count and (opted_out_at or last):
            connection.executemany(
                "INSERT INTO tombstones (contact, opted_out_at, forgotten_at) VALUES (?, ?, ?)"
                " ON CONFLICT (contact) DO UPDATE SET opted_out_at = excluded.opted_out_at,"
                " forgotten_at = excluded.forgotten_at",
                [
                    (tombstone_name(contact, ChatKey(channel, name)), opted_out_at, last)
                    for name in names
                ],
            )


def recall(connection: Connection, contact: bytes, key: ChatKey) -> float:
    """Move a tombstone into a new chat; gives when its person was forgotten, or 0.

    Inside the caller's transaction.
    """
    former = connection.execute(
        "SELECT channel FROM former_channels WHERE number = ?", (key.number,)
    ).fetchall()
    names = [tombstone_name(contact, ChatKey(n, key.chat)) for n in (key.number, *_first(former))]
    rows = connection.execute(
        f"DELETE FROM tombstones WHERE contact IN ({marks(names)})"
        " RETURNING opted_out_at, forgotten_at",
        names,
    ).fetchall()
    if not rows:
        return 0.0
    row = max(rows, key=itemgetter(1))
    connection.execute(
        "UPDATE chats SET opted_out_at = ?, forgotten_at = ? WHERE channel = ? AND chat = ?",
        (*row, *key),
    )
    return float(row[1])


def _first(rows: Iterable[Sequence[str]]) -> list[str]:
    return [row[0] for row in rows]


def has_opted_out(connection: Connection, key: ChatKey) -> bool:
    """True if the contact wants no messages that they have not asked for."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND opted_out_at > 0", key
    ).fetchone()
    return row is not None


MAX_FACTS = 50
"""Each request to the model has all of them."""


def facts_of(connection: Connection, key: ChatKey) -> tuple[Fact, ...]:
    """The facts about a contact, oldest first."""
    rows = connection.execute(
        "SELECT id, fact FROM facts WHERE channel = ? AND chat = ? ORDER BY id", key
    )
    return tuple(Fact(*row) for row in rows)


class Facts(Role):
    """The facts about each contact. Any task may call it."""

    of = reading(facts_of)

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
        if row is None:
            return 0
        announcements.contact_changed(connection, turn.key, "facts", now=now)
        return int(row[0])

    @transaction
    def forget(self, connection: Connection, key: ChatKey, fact_id: int, *, now: float) -> bool:
        """Forget one fact about a contact; False if there is none of that number."""
        done = connection.execute(
            "DELETE FROM facts WHERE channel = ? AND chat = ? AND id = ?", (*key, fact_id)
        )
        if done.rowcount != 1:
            return False
        announcements.contact_changed(connection, key, "facts", now=now)
        return True
