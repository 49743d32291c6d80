"""The search in the words of all chats: filling its index, and finding.

Who stores a message does nothing for it. A task puts new rows in, in steps of milliseconds, and by
the same steps those of a store from before there was a search. Triggers take out at once what
changes or goes; what has changed is put in again by the next step.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.search import (
    SnippetPart,
    SoughtWords,
    place_term,
    search_terms,
    snippet,
    sought_words,
)
from daemon.ledger.drivers.port import Connection, Database, Role, marks, named, query, transaction
from daemon.ledger.messages import SHOWN, read_message

ROWS_A_STEP = 50
"""Put in by one write: a few milliseconds, since webhooks wait for it."""

LATE_ROWS = 500
"""Rows before the last one that are looked at again: another node's transaction may have taken its
number earlier and ended later."""

A_SECOND = 4096
"""The ids of texts of one second."""

LAST_ID = 2**62
"""Beyond every text's."""

MOST_PLACES = 100
"""Chats by whose terms the index is asked; of more, what is found is sifted."""

WALKED = 5_000
"""Texts that are sifted at most."""

Source = Literal["in", "out", "note"]

_IN = f"""
    SELECT m.seq AS number, m.channel, m.chat, m.received_at AS at, m.message, m.words AS said,
        f.words AS heard
    FROM messages m LEFT JOIN media f ON f.channel = m.channel AND f.message_id = m.id
    WHERE {SHOWN} AND m.deleted_at IS NULL AND
"""
_OUT = """
    SELECT m.id AS number, m.channel, m.chat, COALESCE(m.sent_at, m.created_at) AS at, NULL AS
        message, m.body AS said, NULL AS heard
    FROM outbox m WHERE m.kind != 'reaction' AND
"""
_NOTE = """
    SELECT m.id AS number, m.channel, m.chat, m.created_at AS at, NULL AS message, m.text AS said,
        NULL AS heard
    FROM notes m WHERE
"""
_TEXTS: dict[str, str] = {"in": _IN, "out": _OUT, "note": _NOTE}
_PUT_IN = (
    "INSERT INTO search_texts (id, source, number, channel, chat, terms)"
    " VALUES {rows} ON CONFLICT DO NOTHING"
)
_NUMBERS = {"in": "m.seq", "out": "m.id", "note": "m.id"}
_LAST = {
    "in": "SELECT COALESCE(MAX(seq), 0) FROM messages",
    "out": "SELECT COALESCE(MAX(id), 0) FROM outbox",
    "note": "SELECT COALESCE(MAX(id), 0) FROM notes",
}


def escaped(text: str) -> str:
    """A text as it is, in a pattern of ``LIKE`` whose escape is a backslash."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is looked for."""

    words: str
    """As people type them."""
    number: str = ""
    """One of our numbers; empty: all."""
    chats: Collection[ChatKey] | None = None
    """Only these; None: all."""
    without: Collection[ChatKey] = ()
    since: float = 0.0
    until: float = 0.0
    """Only what was written between, in Unix seconds; 0: at any time."""
    before: int = 0
    """The value ``next`` of the page before; 0: the newest."""
    limit: int = 20


class FoundText(NamedTuple):
    """A message or note that has the words."""

    id: str
    """Of its bubble: ``in-7``, ``out-7``, ``note-7``."""
    key: ChatKey
    at: float
    parts: tuple[SnippetPart, ...]


class SearchIndex(Role):
    """The index. Filled by one task of the process that leads; any task may search."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._all = database

    async def refresh(self) -> None:
        """Put in what has come since the task's last look, if this process leads.

        Raises StoreUnavailable.
        """
        if self._all.leads and await self.lags():
            await self.step()

    @query
    def lags(self, connection: Connection) -> bool:
        """Whether there is something to put in."""
        if connection.execute("SELECT 1 FROM search_changes LIMIT 1").fetchone():
            return True
        cursors = connection.execute("SELECT source, last FROM search_cursors").fetchall()
        return any(connection.execute(_LAST[source]).fetchone()[0] > at for source, at in cursors)

    @query
    def newest(self, connection: Connection) -> int:
        """The number of the newest message that has come."""
        newest: int = connection.execute(_LAST["in"]).fetchone()[0]
        return newest

    @transaction
    def step(self, connection: Connection) -> bool:
        """Put some rows in; False if there are none left."""
        added = _put_changed_in(connection)
        for source in _TEXTS:
            if added < ROWS_A_STEP:
                added += _put_new_in(connection, source, ROWS_A_STEP - added)
        connection.text_index.merge()
        return added >= ROWS_A_STEP

    @transaction
    def merge(self, connection: Connection) -> None:
        """Merge parts of the index: writes that only take texts out add some too."""
        connection.text_index.merge()

    @transaction
    def purge(self, connection: Connection, *, begin: bool) -> bool:
        """Take deleted words out of the index's bytes, some at a time; False: it is done."""
        return connection.text_index.purge(begin=begin)


def search(connection: Connection, sought: Sought) -> tuple[list[FoundText], int]:
    """One page of what has the words, the newest first; and where the next begins (0: none)."""
    words = sought_words(sought.words)
    if not words.beginning:
        return [], 0
    ids, following = _matching(connection, words, sought)
    found = _texts_of(connection, ids, words)
    return [found[number] for number in ids if number in found], following


def chats_with(connection: Connection, sought: Sought) -> list[ChatKey]:
    """The chats of what has the words."""
    words = sought_words(sought.words)
    ids = _matching(connection, words, sought)[0] if words.beginning else []
    rows = connection.execute(
        f"SELECT DISTINCT channel, chat FROM search_texts WHERE id IN ({marks(ids)})", ids
    )
    return [ChatKey(*row) for row in rows]


# -- finding -------------------------------------------------------------------------------------


def _matching(connection: Connection, words: SoughtWords, sought: Sought) -> tuple[list[int], int]:
    """The ids of a page, and where the next one begins."""
    since, below = int(sought.since) * A_SECOND, int(sought.until) * A_SECOND or LAST_ID
    below = min(below, sought.before or below)
    places = [place_term("n", sought.number)] if sought.number else []
    wanted = sought.chats
    if wanted is not None and len(wanted) <= MOST_PLACES:
        if not wanted:
            return [], 0
        here = (key for key in wanted if sought.number in {"", key.number})
        places, wanted = [place_term("c", *key) for key in here], None
    ids: list[int] = []
    walked, more = 0, sought.limit + 1
    while len(ids) <= sought.limit and walked < WALKED:
        some = connection.text_index.texts(words, places, since=since, below=below, most=more)
        walked += len(some)
        ids += _of_chats(connection, some, wanted, sought.without)
        if len(some) < more:
            break
        below, more = some[-1], WALKED // 10
    following = ids[sought.limit - 1] if len(ids) > sought.limit else 0
    return ids[: sought.limit], following


def _of_chats(
    connection: Connection,
    ids: Sequence[int],
    wanted: Collection[ChatKey] | None,
    without: Collection[ChatKey],
) -> Sequence[int]:
    if wanted is None and not without:
        return ids
    rows = connection.execute(
        f"SELECT id, channel, chat FROM search_texts WHERE id IN ({marks(ids)})", ids
    )
    keys = {int(row[0]): ChatKey(row[1], row[2]) for row in rows}
    return [
        number
        for number, key in sorted(keys.items(), reverse=True)
        if (wanted is None or key in wanted) and key not in without
    ]


def _texts_of(
    connection: Connection, ids: Sequence[int], words: SoughtWords
) -> dict[int, FoundText]:
    rows = connection.execute(
        f"SELECT id, source, number FROM search_texts WHERE id IN ({marks(ids)})", ids
    ).fetchall()
    found: dict[int, FoundText] = {}
    for source, read in _TEXTS.items():
        column, of = _NUMBERS[source], {row[2]: row[0] for row in rows if row[1] == source}
        numbers = tuple(of)
        for row in _texts(connection, f"{read} {column} IN ({marks(numbers)})", *numbers):
            key, number = ChatKey(row["channel"], row["chat"]), row["number"]
            parts = snippet(_whole(row), words)
            found[of[number]] = FoundText(f"{source}-{number}", key, row["at"], parts)
    return found


# -- filling -------------------------------------------------------------------------------------


def _put_changed_in(connection: Connection) -> int:
    changed = connection.execute(
        "SELECT source, number FROM search_changes LIMIT ?", (ROWS_A_STEP,)
    ).fetchall()
    for source, read in _TEXTS.items():
        column, numbers = _NUMBERS[source], [row[1] for row in changed if row[0] == source]
        if not numbers:
            continue
        connection.execute(
            f"DELETE FROM search_texts WHERE source = ? AND number IN ({marks(numbers)})",
            (source, *numbers),
        )
        rows = _texts(connection, f"{read} {column} IN ({marks(numbers)})", *numbers)
        _add(connection, source, rows)
    connection.executemany("DELETE FROM search_changes WHERE source = ? AND number = ?", changed)
    return len(changed)


def _put_new_in(connection: Connection, source: str, most: int) -> int:
    """Put in the next rows of a source; gives how many of its rows were looked at."""
    (cursor,) = connection.execute(
        "SELECT last FROM search_cursors WHERE source = ?", (source,)
    ).fetchone()
    (last,) = connection.execute(_LAST[source]).fetchone()
    if last <= cursor:
        return 0
    read, column = _TEXTS[source], _NUMBERS[source]
    end = min(last, cursor + most)
    start = cursor - LATE_ROWS if end == last else cursor
    rows = _texts(
        connection,
        f"{read} {column} > ? AND {column} <= ? AND NOT EXISTS"
        f" (SELECT 1 FROM search_texts s WHERE s.source = ? AND s.number = {column})",
        start,
        end,
        source,
    )
    _add(connection, source, rows)
    connection.execute("UPDATE search_cursors SET last = ? WHERE source = ?", (end, source))
    return int(end - cursor)


def _texts(connection: Connection, sql: str, *values: object) -> list[JsonObject]:
    return named(connection.execute(sql, values))


def _add(connection: Connection, source: str, rows: Sequence[JsonObject]) -> None:
    """Put texts in, by one statement: each statement adds a part to the index of SQLite."""
    texts: list[tuple[object, ...]] = []
    given: dict[int, int] = {}
    for row in rows:
        if row["message"] is not None and read_message.decode(row["message"]).disappears:
            continue
        words = search_terms(_whole(row))
        if not words:
            continue
        key = row["channel"], row["chat"]
        terms = " ".join((*words, place_term("n", row["channel"]), place_term("c", *key)))
        texts.append((_free_id(connection, row["at"], given), source, row["number"], *key, terms))
    if texts:
        places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(texts))
        connection.execute(_PUT_IN.format(rows=places), [*chain.from_iterable(texts)])


def _whole(row: JsonObject) -> str:
    return " ".join(filter(None, (row["said"], row["heard"])))


def _free_id(connection: Connection, at: float, given: dict[int, int]) -> int:
    """The id of a text of this time: after all others of its second.

    ``given``: the last one of each second that has no row yet.
    """
    second = int(at)
    while True:
        first, end = second * A_SECOND, (second + 1) * A_SECOND
        last = given.get(second)
        if last is None:
            (last,) = connection.execute(
                "SELECT MAX(id) FROM search_texts WHERE id >= ? AND id < ?", (first, end)
            ).fetchone()
        number = first if last is None else int(last) + 1
        if number < end:
            given[second] = number
            return number
        second += 1
