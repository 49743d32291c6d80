"""Threads: the stored conversation of each chat, as items of the Responses API."""

from collections.abc import Sequence

import msgspec

from daemon.domain.consent import Choice
from daemon.domain.messages import ChatKey, JsonObject, is_for_customer
from daemon.domain.prompt.data import data_item, indented, is_data
from daemon.domain.prompt.history import estimate_tokens
from daemon.domain.records import ChatRecord, ThreadItem
from daemon.ledger.drivers.port import Connection
from daemon.ledger.ephemeral import redact
from daemon.ledger.role import Role, query, transaction

_item_json = msgspec.json.Encoder()
_read_item = msgspec.json.Decoder(JsonObject)


class Threads(Role):
    """What was said in each chat, and what is known of it. Any task may call it."""

    @query
    def history(
        self, connection: Connection, key: ChatKey, *, tokens: int
    ) -> tuple[ThreadItem, ...]:
        """The newest items of a thread, oldest first: what ``tokens`` are enough for, and one more.

        By the one more the caller, who knows what belongs together, sees that the oldest turn of
        the answer is not whole or does not fit, and leaves it out.
        """
        return newest_items(connection, key, tokens=tokens)

    @query
    def chat(self, connection: Connection, key: ChatKey) -> ChatRecord:
        """What is known of a chat; an empty record for a new one."""
        return chat_record(connection, key)

    @query
    def recent_lines(self, connection: Connection, key: ChatKey, count: int) -> list[str]:
        """The last ``count`` things that were said in a chat, oldest first, one line each."""
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
        choice: Choice = "",
        now: float,
    ) -> None:
        """Put messages that need no answer into the thread and give them their outcome.

        Used for a human agent's own words, and for what the agent answered or will (``noted``,
        which keep their state): the model knows both when it takes over again. ``choice`` is what
        the customer's say about being written to. All in one write.
        """
        append(connection, key, None, items, now=now)
        connection.executemany(
            "UPDATE messages SET state = ?, reason = ? WHERE seq = ? AND state = 'received'",
            [(state, reason, seq) for seq in seqs],
        )
        connection.executemany(
            "UPDATE messages SET to_note = 0 WHERE seq = ?", [(seq,) for seq in noted]
        )
        if choice:
            connection.execute(
                "UPDATE chats SET opted_out_at = ? WHERE channel = ? AND chat = ?",
                (now if choice == "out" else 0, *key),
            )
        redact(connection, [*seqs, *noted])

    @query
    def counts(self, connection: Connection, *, active_since: float) -> tuple[int, int]:
        """How many chats are known, and how many of them were active since then."""
        row = connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(last_activity_at >= ?), 0) FROM chats",
            (active_since,),
        ).fetchone()
        return int(row[0]), int(row[1])


def newest_items(
    connection: Connection, key: ChatKey, *, tokens: int, after: int = 0
) -> tuple[ThreadItem, ...]:
    """See `Threads.history`; of the items after number ``after``, inside a transaction."""
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
    """See `Threads.chat`; inside a transaction."""
    row = connection.execute(
        "SELECT name, contact_name, paused_until, apologised_at, context_at, context_text,"
        " token_ratio, imported_at, loop_until, opted_out_at, consent_at FROM chats"
        " WHERE channel = ? AND chat = ?",
        key,
    ).fetchone()
    return ChatRecord(*row) if row else ChatRecord()


def _spoken(item: JsonObject) -> str:
    """One item as a line of conversation; empty for notes, calls of tools and the like."""
    if is_data(item) or not is_for_customer(item):
        return ""
    content = item.get("content", "")
    if not isinstance(content, str):
        content = " ".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    role = item.get("role")
    # Further lines are set in, so that none can pass for a line of the other side.
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
    encoded = [_item_json.encode(item).decode() for item in items]
    sized = [(text, estimate_tokens(text)) for text in encoded]
    if sized:
        connection.executemany(
            "INSERT INTO thread_items (channel, chat, turn_id, item, tokens, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, turn_id, text, tokens, now) for text, tokens in sized],
        )
    return sum(tokens for _, tokens in sized)


def add_note(connection: Connection, key: ChatKey, note: str, *, now: float) -> None:
    """Tell the model something about the conversation, inside the caller's transaction."""
    append(connection, key, None, [data_item("note", note)], now=now)
