"""Media: the files that people sent, one row a message with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from daemon.domain.messages import Media, Message
from daemon.domain.records import MediaItem, Turn
from daemon.domain.states import FAILED, FOR_BOT, GONE, STORED, WANTED, WITH_AGENT
from daemon.ledger.drivers.port import (
    Connection,
    Cursor,
    Role,
    Transactions,
    listed,
    marks,
    named,
    query,
    transaction,
)
from daemon.ledger.files import discard

BATCH = 200
"""Rows in one write: a few milliseconds, so that no webhook waits for it."""

_OF_USE = f"state IN ({listed((WANTED, STORED))})"
_ITEM = "SELECT message_id, state, reason, file, preview, mime, size, words, words_error FROM media"


class MediaItems(Role):
    """The files of messages. Any task may call it; only the one that fetches a file changes it."""

    def __init__(self, database: Transactions, folder: Path) -> None:
        super().__init__(database)
        self._folder = folder

    @query
    def of(self, connection: Connection, messages: Sequence[Message]) -> dict[str, MediaItem]:
        """The rows of files of messages of one channel, by message id."""
        ids = [message.id for message in messages]
        channel = messages[0].key.number if messages else ""
        rows = connection.execute(
            f"{_ITEM} WHERE channel = ? AND message_id IN ({marks(ids)})", (channel, *ids)
        )
        return {item.message_id: item for item in _items(rows)}

    @transaction
    def want(self, connection: Connection, message: Message, *, now: float) -> MediaItem:
        """Note that the file of a message is wanted, unless that is known; gives what is known."""
        want_file(connection, message, now)
        rows = connection.execute(
            f"{_ITEM} WHERE channel = ? AND message_id = ?", (message.key.number, message.id)
        )
        return next(iter(_items(rows)), MediaItem(message_id=message.id, state=GONE))

    async def stored(
        self, message: Message, *, file: str, mime: str, size: int, now: float
    ) -> bool:
        """Note that a file lies in the folder; False if it is no longer wanted."""
        return await self._change(
            message,
            "state = ?, reason = '', file = ?, mime = ?, size = ?, ended_at = ?",
            (STORED, file, mime, size, now),
        )

    async def failed(self, message: Message, reason: str, *, now: float) -> bool:
        """Note that a file cannot be fetched, and why."""
        return await self._change(
            message, "state = ?, reason = ?, ended_at = ?", (FAILED, reason, now)
        )

    async def delayed(self, message: Message, reason: str) -> bool:
        """Note why a try failed; the file stays wanted."""
        return await self._change(message, "reason = ?", (reason,))

    async def understood(self, message: Message, words: str) -> bool:
        """Store the transcript or text of a file."""
        return await self._change(message, "words = ?", (words,))

    async def not_understood(self, message: Message, reason: str) -> bool:
        """Note that the words in a file cannot be known, and why."""
        return await self._change(message, "words_error = ?", (reason,))

    async def delete_withdrawn(self, turn: Turn) -> int:
        """Delete the withdrawn files of a turn that is over; gives how many."""
        withdrawn = await self._database.read(partial(withdrawn_files, turn_id=turn.id))
        if not withdrawn:
            return 0
        drop = partial(
            drop_files, keys=withdrawn, folder=self._folder, reason="it was to disappear"
        )
        return await self._database.write(drop)

    @transaction
    def _change(
        self, connection: Connection, message: Message, assignments: str, values: Sequence[object]
    ) -> bool:
        """Change the row of a message whose file is still of use."""
        done = connection.execute(
            f"UPDATE media SET {assignments} WHERE channel = ? AND message_id = ? AND {_OF_USE}",
            (*values, message.key.number, message.id),
        )
        return done.rowcount == 1


@dataclass(frozen=True, slots=True)
class ExpiredMedia:
    """The rows and files dropped by one batch."""

    items: int
    more: bool
    """True if there may be further ones."""


def want_file(connection: Connection, message: Message, now: float) -> None:
    """Note that the file of a stored message is wanted, inside the caller's transaction."""
    content = message.content
    if not isinstance(content, Media):
        return
    connection.execute(
        "INSERT INTO media (channel, message_id, file, preview, wanted_at)"
        " SELECT channel, id, ?, ?, ? FROM messages WHERE channel = ? AND id = ?"
        " ON CONFLICT (channel, message_id) DO NOTHING",
        (content.inline, content.preview, now, message.key.number, message.id),
    )


def without_bytes(message: Message) -> Message:
    """The message as it is stored: names of files in place of bytes that came with it."""
    content = message.content
    if not isinstance(content, Media) or not (":" in content.inline or ":" in content.preview):
        return message
    inline = "" if ":" in content.inline else content.inline
    preview = "" if ":" in content.preview else content.preview
    changed = msgspec.structs.replace(content, inline=inline, preview=preview)
    return msgspec.structs.replace(message, content=changed)


def drop_files(
    connection: Connection,
    keys: Sequence[tuple[str, str]],
    folder: Path,
    *,
    reason: str,
) -> int:
    """Delete files and words of messages (channel and id), inside the caller's transaction.

    Their rows stay, as ``gone``. A file is deleted before its row says so, so that no file is left
    without a row; one that another message has too stays. Gives how many rows changed.
    """
    gone = 0
    for key in keys:
        row = connection.execute(
            "SELECT file, preview FROM media WHERE channel = ? AND message_id = ?"
            f" AND state != '{GONE}'",
            key,
        ).fetchone()
        if row is None:
            continue
        connection.execute(
            "UPDATE media SET state = ?, reason = ?, file = '', preview = '', words = NULL,"
            " words_error = '' WHERE channel = ? AND message_id = ?",
            (GONE, reason, *key),
        )
        for name in {*row} - {""}:
            _delete_unshared(connection, name, folder)
        gone += 1
    return gone


def expire_media(connection: Connection, *, before: float, folder: Path) -> ExpiredMedia:
    """Drop the files of one batch of messages from before a time, and withdrawn ones."""
    old = connection.execute(
        f"SELECT channel, message_id FROM media WHERE {_OF_USE}"
        " AND wanted_at < ? ORDER BY wanted_at LIMIT ?",
        (before, BATCH),
    ).fetchall()
    withdrawn = withdrawn_files(connection, limit=BATCH)
    items = drop_files(connection, old, folder, reason="it is too old to be kept")
    items += drop_files(connection, withdrawn, folder, reason="its author took it back")
    return ExpiredMedia(items, more=BATCH in {len(old), len(withdrawn)})


def withdrawn_files(
    connection: Connection, *, turn_id: int | None = None, limit: int = BATCH
) -> list[tuple[str, str]]:
    """Channel and id of messages whose file is withdrawn, of one turn or of all.

    Their author deleted them, or they were to disappear, and their turn is over.
    """
    of_turn = "" if turn_id is None else " AND m.turn_id = ?"
    rows = connection.execute(
        "SELECT f.channel, f.message_id FROM media f JOIN messages m"
        f" ON m.channel = f.channel AND m.id = f.message_id WHERE f.{_OF_USE}"
        f" AND m.state NOT IN ({listed((*FOR_BOT, WITH_AGENT))}) AND m.to_note = 0"
        f" AND (m.deleted_at IS NOT NULL OR m.content_type != 'media'){of_turn} LIMIT ?",
        (*(() if turn_id is None else (turn_id,)), limit),
    )
    return [(channel, message_id) for channel, message_id in rows]


def drop_unnamed(connection: Connection, *, names: Sequence[str], folder: Path) -> int:
    """Delete those of these files that no message has; gives how many."""
    unnamed = [name for name in names if not _is_named(connection, name)]
    for name in unnamed:
        discard(connection, folder, name)
    return len(unnamed)


def _delete_unshared(connection: Connection, name: str, folder: Path) -> None:
    if not _is_named(connection, name):
        discard(connection, folder, name)


def _is_named(connection: Connection, name: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM media WHERE file = :name AND file != '' UNION ALL"
        " SELECT 1 FROM media WHERE preview = :name AND preview != ''",
        {"name": name},
    ).fetchone()
    return row is not None


def _items(rows: Cursor) -> list[MediaItem]:
    return [MediaItem(**row) for row in named(rows)]
