"""What is kept of a contact's consent, and what of it outlives the contact's data.

Who was forgotten may have opted out; that is still respected, by a keyed hash of the chat. The key
lies in a file beside the store, so the store alone, and a backup of it, leads to nobody.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from daemon.domain.messages import ChatKey
from daemon.ledger.drivers.port import Connection
from daemon.system.private_files import new_file

KEY_FILE = "contact.key"
KEY_BYTES = 32


def contact_key(data_dir: Path) -> bytes:
    """The key of all hashes of contacts, made if there is none yet. Raises OSError."""
    path = data_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        with new_file(path) as file:
            file.write(key)
        return key


def tombstone_name(contact: bytes, key: ChatKey) -> str:
    """How a chat is called in `tombstones`; ``contact`` is the key of the hash."""
    text = f"tombstone\0{key.channel}\0{key.chat}".encode()
    return hmac.new(contact, text, hashlib.sha256).hexdigest()


def bury(
    connection: Connection,
    contact: bytes,
    keys: Sequence[ChatKey],
    *,
    forgotten_at: float,
) -> None:
    """Keep what is to be respected of a person who is erased, inside the caller's transaction.

    ``keys`` are all ids under which the person may write again. ``forgotten_at``: Unix seconds; 0
    if their chat is only too old.
    """
    for channel in {key.channel for key in keys}:
        names = [key.chat for key in keys if key.channel == channel]
        count, opted_out_at, before = connection.execute(
            "SELECT COUNT(*), COALESCE(MAX(opted_out_at), 0), COALESCE(MAX(forgotten_at), 0)"
            " FROM chats WHERE channel = ? AND chat IN (SELECT value FROM json_each(?))",
            (channel, json.dumps(names)),
        ).fetchone()
        last = max(forgotten_at, before)
        if count and (opted_out_at or last):
            connection.executemany(
                "INSERT OR REPLACE INTO tombstones (contact, opted_out_at, forgotten_at)"
                " VALUES (?, ?, ?)",
                [
                    (tombstone_name(contact, ChatKey(channel, name)), opted_out_at, last)
                    for name in names
                ],
            )


def recall(connection: Connection, contact: bytes, key: ChatKey) -> float:
    """Give a new chat what is known by its hash; gives when its person was forgotten, or 0.

    Inside the caller's transaction.
    """
    row = connection.execute(
        "DELETE FROM tombstones WHERE contact = ? RETURNING opted_out_at, forgotten_at",
        (tombstone_name(contact, key),),
    ).fetchone()
    if row is None:
        return 0.0
    connection.execute(
        "UPDATE chats SET opted_out_at = ?, forgotten_at = ? WHERE channel = ? AND chat = ?",
        (*row, *key),
    )
    return float(row[1])


def has_opted_out(connection: Connection, key: ChatKey) -> bool:
    """True if nothing may be said in a chat that nobody has asked for."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND opted_out_at > 0", key
    ).fetchone()
    return row is not None
