"""What a chat's model remembers: the shown part of its thread, what stands for the rest, the chat.

The whole thread stays in ``thread_items``; ``thread_heads`` says from where on it is told.
"""

from collections.abc import Sequence

import msgspec

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.prompt.compaction import split_at_compaction
from daemon.domain.prompt.history import estimate_tokens
from daemon.domain.records import Recollection, ThreadHead, ThreadItem, Told, Turn
from daemon.ledger.drivers.port import Connection
from daemon.ledger.role import Role, query, transaction
from daemon.ledger.threads import append, chat_record, newest_items
from daemon.ledger.tool_effects import facts_of

_item_json = msgspec.json.Encoder()
_read_item = msgspec.json.Decoder(JsonObject)


class Memories(Role):
    """What the models of all chats remember. Only the tasks of a chat may change its memory."""

    @query
    def recall(self, connection: Connection, key: ChatKey, *, tokens: int) -> Recollection:
        """What is known of a chat and its contact, and the newest items of what is told of it.

        As many items as ``tokens`` of our own estimate are enough for, and one more, by which the
        caller sees that the oldest turn of the answer is not whole or does not fit.
        """
        up_to, head = _head(connection, key)
        items = newest_items(connection, key, tokens=tokens, after=up_to)
        return Recollection(
            chat=chat_record(connection, key),
            head=head,
            items=items,
            facts=facts_of(connection, key),
        )

    @transaction
    def shorten(
        self,
        connection: Connection,
        key: ChatKey,
        last: ThreadItem,
        item: JsonObject | None,
        *,
        now: float,
    ) -> bool:
        """Tell a thread only from after ``last`` on, with ``item`` in the place of what was before.

        ``item`` None leaves what stands there. False, and nothing done, if the thread has changed
        meanwhile so that this says nothing any more: it was forgotten, or joined with another.
        """
        known = connection.execute(
            "SELECT 1 FROM thread_items WHERE id = ? AND channel = ? AND chat = ?",
            (last.id, *key),
        ).fetchone()
        if known is None or _head(connection, key)[0] >= last.id:
            return False
        _set_head(connection, key, last.id, item, now)
        return True

    @query
    def is_blank(self, connection: Connection, key: ChatKey) -> bool:
        """Whether nothing was ever said in a chat, as far as the thread knows."""
        return _is_blank(connection, key)

    @transaction
    def begin_with(
        self, connection: Connection, key: ChatKey, items: Sequence[JsonObject], *, now: float
    ) -> bool:
        """Put what was said before Recado into a thread that is still blank.

        Done once a chat, whatever happens; False if it was done before or the thread has begun,
        or if there is no such chat any more: it was forgotten.
        """
        if not _is_blank(connection, key):
            return False
        chats = connection.execute(
            "UPDATE chats SET imported_at = ? WHERE channel = ? AND chat = ?", (now, *key)
        )
        if chats.rowcount:
            append(connection, key, None, items, now=now)
        return chats.rowcount > 0


def keep_turn(
    connection: Connection,
    turn: Turn,
    items: Sequence[JsonObject],
    told: Told | None,
    *,
    now: float,
) -> int:
    """Add an answered turn to its thread, inside the caller's transaction; gives its tokens.

    The chat's customer may be told of an outage again.

    Where the server has compacted the conversation by itself, its item becomes the thread's head.
    """
    before, compaction, after = split_at_compaction(items)
    tokens = append(connection, turn.key, turn.id, before, now=now)
    if compaction is not None:
        (last,) = connection.execute(
            "SELECT COALESCE(MAX(id), 0) FROM thread_items WHERE channel = ? AND chat = ?", turn.key
        ).fetchone()
        _set_head(connection, turn.key, last, compaction, now)
    tokens += append(connection, turn.key, turn.id, after, now=now)
    told = told or Told()
    connection.execute(
        "UPDATE chats SET apologised_at = 0,"
        " context_at = CASE ?1 WHEN '' THEN context_at ELSE ?2 END,"
        " context_text = CASE ?1 WHEN '' THEN context_text ELSE ?1 END,"
        " token_ratio = CASE ?3 WHEN 0 THEN token_ratio ELSE ?3 END,"
        " opted_out_at = CASE ?6 WHEN 'out' THEN ?2 WHEN 'in' THEN 0 ELSE opted_out_at END,"
        " consent_at = CASE ?7 WHEN 1 THEN ?2 ELSE consent_at END"
        " WHERE channel = ?4 AND chat = ?5",
        (
            *(told.context_text, now, told.token_ratio),
            *turn.key,
            *(told.choice, int(told.consent)),
        ),
    )
    return tokens


def _head(connection: Connection, key: ChatKey) -> tuple[int, ThreadHead]:
    """Up to which item a thread is not told, and what is told instead."""
    row = connection.execute(
        "SELECT up_to, item, tokens FROM thread_heads WHERE channel = ? AND chat = ?", key
    ).fetchone()
    if row is None:
        return 0, ThreadHead(None)
    up_to, item, tokens = row
    return up_to, ThreadHead(_read_item.decode(item) if item else None, tokens)


def _set_head(
    connection: Connection,
    key: ChatKey,
    up_to: int,
    item: JsonObject | None,
    now: float,
) -> None:
    text = "" if item is None else _item_json.encode(item).decode()
    connection.execute(
        "INSERT INTO thread_heads (channel, chat, up_to, item, tokens, made_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, chat) DO UPDATE SET"
        " up_to = excluded.up_to, made_at = excluded.made_at,"
        " item = CASE excluded.item WHEN '' THEN item ELSE excluded.item END,"
        " tokens = CASE excluded.item WHEN '' THEN tokens ELSE excluded.tokens END",
        (*key, up_to, text, estimate_tokens(text) if text else 0, now),
    )


def _is_blank(connection: Connection, key: ChatKey) -> bool:
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND imported_at + forgotten_at > 0"
        " UNION ALL SELECT 1 FROM thread_items WHERE channel = ? AND chat = ? LIMIT 1",
        (*key, *key),
    ).fetchone()
    return row is None
