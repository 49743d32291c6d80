"""What a search finds in the words of all chats, and the place of a message in its chat."""

from collections.abc import Mapping
from dataclasses import replace

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.messages import ChatKey, JsonObject
from daemon.ledger.drivers.port import Connection
from daemon.ledger.search import Sought, search
from daemon.ledger.views.bubbles import NEWEST, Before
from daemon.ledger.views.chat_list import (
    PLACE_OF_MESSAGES,
    PLACE_OF_SENDS,
    chats_of,
    rows_between,
)
from daemon.ledger.views.chat_states import Live, open_work_of, states_of

LATER = 10
"""Messages of each side that are shown after the one that was found."""

_SELECT = {
    "in": "SELECT received_at FROM messages WHERE channel = ? AND chat = ? AND seq = ?",
    "out": "SELECT created_at FROM outbox WHERE channel = ? AND chat = ? AND id = ?",
    "note": "SELECT created_at FROM notes WHERE channel = ? AND chat = ? AND id = ?",
}


def find_messages(
    connection: Connection,
    wanted: ChatQuery,
    live: Mapping[ChatKey, Live],
    *,
    before: int,
    now: float,
) -> JsonObject:
    """One page of the messages with the words of ``wanted.query``, in chats as it wants them.

    ``found``, the newest first: ``ref`` and ``name`` of the chat, ``id`` of the bubble, ``at``, and
    ``parts``: each a text, and whether it is marked. ``next``: what to ask for the next page with;
    0 at the end.
    """
    sought = Sought(
        words=wanted.query,
        number=wanted.number,
        since=wanted.since,
        until=wanted.until,
        before=before,
        limit=wanted.limit,
    )
    states = states_of(connection, open_work_of(connection), live, now) if wanted.state else {}
    only = chats_of(connection, wanted, states)
    without = frozenset(states) if wanted.state == "idle" else frozenset()
    texts, following = search(connection, replace(sought, chats=only, without=without))
    chats = _chats(connection, {text.key for text in texts})
    return {
        "found": [
            {**chats[text.key], "id": text.id, "at": text.at, "parts": text.parts}
            for text in texts
            if text.key in chats
        ],
        "next": following,
    }


def _chats(connection: Connection, keys: set[ChatKey]) -> dict[ChatKey, JsonObject]:
    found: dict[ChatKey, JsonObject] = {}
    for key in keys:
        row = connection.execute(
            "SELECT ref, COALESCE(NULLIF(contact_name, ''), name) FROM chats"
            " WHERE channel = ? AND chat = ?",
            key,
        ).fetchone()
        if row is not None:
            found[key] = {**key._asdict(), "ref": row[0], "name": row[1]}
    return found


def place_of(connection: Connection, key: ChatKey, name: str) -> Before | None:
    """Where the page ends that shows a message and some later ones.

    ``name``: of its bubble, such as ``in-7``. None if the chat has no such message.
    """
    source, _, number = name.partition("-")
    if source not in _SELECT or not (number.isascii() and number.isdecimal()):
        return None
    row = connection.execute(_SELECT[source], (*key, int(number[:18]))).fetchone()
    if row is None:
        return None
    came, _ = rows_between(connection, PLACE_OF_MESSAGES, row[0], 0)
    went, _ = rows_between(connection, PLACE_OF_SENDS, row[0], 0)
    after_it = connection.execute(
        "SELECT seq FROM messages WHERE channel || '/' || chat = ? AND seq > ?"
        " ORDER BY seq LIMIT 1 OFFSET ?",
        ("/".join(key), came, LATER),
    ).fetchone()
    sent_after = connection.execute(
        "SELECT id FROM outbox WHERE channel = ? AND chat = ? AND id > ?"
        " ORDER BY id LIMIT 1 OFFSET ?",
        (*key, went, LATER),
    ).fetchone()
    return Before(after_it[0] if after_it else NEWEST, sent_after[0] if sent_after else NEWEST)
