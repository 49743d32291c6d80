"""Threads: the stored conversation of each chat, as items of the Responses API.

The whole thread stays in ``thread_items``; ``thread_heads`` says where the part begins that the
model is sent, and what stands for the rest.
"""

from collections.abc import Sequence

import msgspec

from daemon.domain.messages import ChatKey, JsonObject, Message, is_for_customer
from daemon.domain.prompt.history_budget import estimate_tokens, split_at_compaction
from daemon.domain.prompt.message_text import data_item, indented, is_data, noted_item
from daemon.domain.records import (
    ChatRecord,
    ChatUpdate,
    ConsentChoice,
    Recollection,
    ThreadHead,
    ThreadItem,
    Turn,
)
from daemon.domain.states import RECEIVED
from daemon.ledger import announcements
from daemon.ledger.desk import marked_notes
from daemon.ledger.drivers.port import Connection, Role, marks, query, reading, transaction
from daemon.ledger.messages import redact
from daemon.ledger.people import facts_of

_json = msgspec.json.Encoder()
_read_item = msgspec.json.Decoder(JsonObject)

_PLACE = "[live location "


def newest_items(
    connection: Connection, key: ChatKey, *, tokens: int, after: int = 0
) -> tuple[ThreadItem, ...]:
    """The newest items of a thread, oldest first: as many as fit in ``tokens``, and one more.

    The one more shows the caller whether the oldest turn is whole and fits; else it is left out.
    ``after``: only items with a greater number.
    """
    rows = connection.execute(
        "SELECT turn_id, item, tokens, id, created_at FROM thread_items"
        " WHERE channel = ? AND chat = ? AND id > ? ORDER BY id DESC",
        (*key, after),
    )
    items: list[ThreadItem] = []
    left = tokens
    for turn_id, item, size, number, created_at in rows:
        items.append(ThreadItem(turn_id, _read_item.decode(item), size, number, created_at))
        left -= size
        if left < 0:
            break
    rows.close()
    return tuple(reversed(items))


def chat_record(connection: Connection, key: ChatKey) -> ChatRecord:
    """The record of a chat; an empty one for a new chat."""
    row = connection.execute(
        "SELECT name, contact_name, paused_until, apologised_at, context_at, context_text,"
        " token_ratio, loop_until, opted_out_at, consent_at, labels FROM chats"
        " WHERE channel = ? AND chat = ?",
        key,
    ).fetchone()
    return ChatRecord(*row) if row else ChatRecord()


class Threads(Role):
    """The thread and the record of each chat. Any task may call it."""

    history = reading(newest_items)

    chat = reading(chat_record)

    @query
    def recent_lines(self, connection: Connection, key: ChatKey, count: int) -> list[str]:
        """The last ``count`` messages of a chat, oldest first, one line each."""
        rows = connection.execute(
            "SELECT item FROM thread_items WHERE channel = ? AND chat = ? ORDER BY id DESC LIMIT ?",
            (*key, 4 * count),
        )
        lines = [_spoken(_read_item.decode(item)) for (item,) in rows]
        return [line for line in lines if line][:count][::-1]

    @transaction
    def note_waiting(
        self,
        connection: Connection,
        key: ChatKey,
        seqs: Sequence[int],
        items: Sequence[JsonObject],
        *,
        state: str,
        reason: str,
        noted: Sequence[int] = (),
        choice: ConsentChoice = "",
        now: float,
    ) -> None:
        """Put messages that need no answer into the thread and give them their outcome.

        Used for an agent's words, and for what the agent answered or will answer (``noted``, which
        keep their state): the model knows both when it answers again. ``choice`` is what the
        customer's consent. All in one write, and once: nothing is left to note afterwards.
        """
        if not _are_to_note(connection, seqs, noted):
            return
        append(connection, key, None, items, now=now)
        connection.executemany(
            "UPDATE messages SET state = ?, reason = ? WHERE seq = ? AND state = ?",
            [(state, reason, seq, RECEIVED) for seq in seqs],
        )
        connection.executemany(
            "UPDATE messages SET to_note = 0 WHERE seq = ?", [(seq,) for seq in noted]
        )
        if choice:
            connection.execute(
                "UPDATE chats SET opted_out_at = ? WHERE channel = ? AND chat = ?",
                (now if choice == "out" else 0, *key),
            )
            announcements.contact_changed(connection, key, "opt_out", now=now)
        redact(connection, [*seqs, *noted])

    @query
    def counts(self, connection: Connection, *, active_since: float) -> tuple[int, int]:
        """The number of known chats, and of those active since then."""
        row = connection.execute(
            "SELECT COUNT(*), COUNT(CASE WHEN last_activity_at >= ? THEN 1 END) FROM chats",
            (active_since,),
        ).fetchone()
        return int(row[0]), int(row[1])


def _are_to_note(connection: Connection, seqs: Sequence[int], noted: Sequence[int]) -> bool:
    """Whether some of these messages wait, or some of the ``noted`` are not in the thread."""
    row = connection.execute(
        f"SELECT 1 FROM messages WHERE (state = ? AND seq IN ({marks(seqs)}))"
        f" OR (to_note = 1 AND seq IN ({marks(noted)})) LIMIT 1",
        (RECEIVED, *seqs, *noted),
    ).fetchone()
    return row is not None


def _spoken(item: JsonObject) -> str:
    """One item as a line of conversation; empty for notes, calls of tools and the like."""
    if is_data(item) or not is_for_customer(item):
        return ""
    content = item.get("content", "")
    if not isinstance(content, str):
        content = " ".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    role = item.get("role")
    # Further lines are indented, so that none can pass for a line of the other side.
    return f"{role}: {indented(content.strip())}" if role in {"user", "assistant"} else ""


def append(
    connection: Connection,
    key: ChatKey,
    turn_id: int | None,
    items: Sequence[JsonObject],
    *,
    now: float,
) -> int:
    """Add items to a thread, inside the caller's transaction; gives their tokens."""
    encoded = [_json.encode(item).decode() for item in items]
    sized = [(text, estimate_tokens(text)) for text in encoded]
    if sized:
        connection.executemany(
            "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, turn_id, text, tokens, now) for text, tokens in sized],
        )
    return sum(tokens for _, tokens in sized)


def add_note(connection: Connection, key: ChatKey, note: str, *, now: float) -> None:
    """Add a note about the conversation for the model, inside the caller's transaction."""
    append(connection, key, None, [data_item("note", note)], now=now)


_json = msgspec.json.Encoder()
_read_item = msgspec.json.Decoder(JsonObject)


def _is_blank(connection: Connection, key: ChatKey) -> bool:
    """Whether a thread has no items and never had any."""
    row = connection.execute(
        "SELECT 1 FROM chats WHERE channel = ? AND chat = ? AND imported_at + forgotten_at > 0"
        " UNION ALL SELECT 1 FROM thread_items WHERE channel = ? AND chat = ? LIMIT 1",
        (*key, *key),
    ).fetchone()
    return row is None


class Memories(Role):
    """The models' memory of each chat. Only the tasks of a chat may change its memory."""

    @query
    def recall(self, connection: Connection, key: ChatKey, *, tokens: int) -> Recollection:
        """The records of a chat and its contact, and the newest items of the shown thread.

        As many items as fit in ``tokens`` of our own estimate, and one more; see
        `Threads.history`.
        """
        up_to, head = _head(connection, key)
        items = newest_items(connection, key, tokens=tokens, after=up_to)
        return Recollection(
            chat=chat_record(connection, key),
            head=head,
            items=items,
            facts=facts_of(connection, key),
            notes=marked_notes(connection, key),
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
        """Show a thread only from after ``last`` on, with ``item`` in place of what was before.

        ``item`` None keeps the item that is there. False, and nothing done, if ``last`` is not in
        the thread any more: the thread was forgotten, or joined with another.
        """
        known = connection.execute(
            "SELECT 1 FROM thread_items WHERE id = ? AND channel = ? AND chat = ?",
            (last.id, *key),
        ).fetchone()
        if known is None or _head(connection, key)[0] >= last.id:
            return False
        _set_head(connection, key, last.id, item, now)
        return True

    is_blank = reading(_is_blank)

    @transaction
    def begin_with(
        self, connection: Connection, key: ChatKey, items: Sequence[JsonObject], *, now: float
    ) -> bool:
        """Put the messages from before Recado into a blank thread, once a chat.

        False, and nothing done, if it was done before, the thread has begun, or the chat was
        forgotten.
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
    chat_update: ChatUpdate | None,
    *,
    now: float,
) -> int:
    """Add an answered turn to its thread, inside the caller's transaction; gives its tokens.

    The customer may get an apology again. Where the server has compacted the conversation, its
    item becomes the thread's head.
    """
    before, compaction, after = split_at_compaction(items)
    tokens = append(connection, turn.key, turn.id, before, now=now)
    if compaction is not None:
        (last,) = connection.execute(
            "SELECT COALESCE(MAX(id), 0) FROM thread_items WHERE channel = ? AND chat = ?", turn.key
        ).fetchone()
        _set_head(connection, turn.key, last, compaction, now)
    tokens += append(connection, turn.key, turn.id, after, now=now)
    _remember(connection, turn.key, chat_update or ChatUpdate(), now)
    return tokens


def _remember(connection: Connection, key: ChatKey, chat_update: ChatUpdate, now: float) -> None:
    """Keep what a chat is to remember of an answered turn."""
    news: dict[str, float | str] = {"apologised_at": 0}
    if chat_update.context_text:
        news |= {"context_at": now, "context_text": chat_update.context_text}
    if chat_update.token_ratio:
        news["token_ratio"] = chat_update.token_ratio
    if chat_update.choice:
        news["opted_out_at"] = now if chat_update.choice == "out" else 0
    if chat_update.consent:
        news["consent_at"] = now
    assignments = ", ".join(f"{column} = ?" for column in news)
    connection.execute(
        f"UPDATE chats SET {assignments} WHERE channel = ? AND chat = ?", (*news.values(), *key)
    )
    if chat_update.choice:
        announcements.contact_changed(connection, key, "opt_out", now=now)


def _head(connection: Connection, key: ChatKey) -> tuple[int, ThreadHead]:
    """The last item that is not shown, and what is shown instead."""
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
    text = "" if item is None else _json.encode(item).decode()
    connection.execute(
        "INSERT INTO thread_heads (channel, chat, up_to, item, tokens, made_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (channel, chat) DO UPDATE SET"
        " up_to = excluded.up_to, made_at = excluded.made_at,"
        " item = CASE excluded.item WHEN '' THEN thread_heads.item ELSE excluded.item END,"
        " tokens = CASE excluded.item WHEN '' THEN thread_heads.tokens ELSE excluded.tokens END",
        (*key, up_to, text, estimate_tokens(text) if text else 0, now),
    )


def note_sign(connection: Connection, message: Message, now: float) -> None:
    """Note a reaction, a vote, a menu or a new place in the thread of its chat, if it has one.

    The model knows of them when it is next asked. A thread does not begin with one: what was said
    before Recado has to come first. Of places that follow each other only the last is kept. Inside
    the caller's transaction.
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
    """Whether both are of the same person and place."""
    who, place, _ = str(item["content"]).partition(_PLACE)
    return bool(place) and str(before.get("content", "")).startswith(f"{who}{place}")
