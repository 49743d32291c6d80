"""Signs that need no answer, noted in the thread: the model knows of them when it is next asked."""

import sqlite3

import msgspec

from daemon.model import JsonObject, Message
from daemon.prompt.history import estimate_tokens
from daemon.reading.messages import noted_item
from daemon.store.thread import append

_json = msgspec.json.Encoder()
_read_item = msgspec.json.Decoder(JsonObject)

_PLACE = "[live location "


def note_sign(connection: sqlite3.Connection, message: Message, now: float) -> None:
    """Note a reaction, a vote, a menu or a new place in the thread of its chat, if it has one.

    A thread does not begin with a sign: what came before Recado could not be put before it any
    more. Places that follow each other are one note, the last of them. Inside the caller's
    transaction.
    """
    newest = connection.execute(
        "SELECT id, turn_id, item FROM thread_items WHERE channel = ? AND chat = ?"
        " ORDER BY id DESC LIMIT 1",
        message.key,
    ).fetchone()
    if newest is None or message.disappears:
        return
    item = noted_item(message)
    number, turn_id, text = newest
    if turn_id is None and _is_same_place(_read_item.decode(text), item):
        encoded = _json.encode(item).decode()
        connection.execute(
            "UPDATE thread_items SET item = ?, tokens = ?, created_at = ? WHERE id = ?",
            (encoded, estimate_tokens(encoded), now, number),
        )
    else:
        append(connection, message.key, None, [item], now=now)


def _is_same_place(before: JsonObject, item: JsonObject) -> bool:
    """Whether both say where the same person is."""
    who, place, _ = str(item["content"]).partition(_PLACE)
    return bool(place) and str(before.get("content", "")).startswith(f"{who}{place}")
