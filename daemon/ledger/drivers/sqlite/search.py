"""The index of the words of all chats: SQLite's FTS5, of terms that are folded already.

By itself FTS5 merges its parts inside somebody's transaction, for tenths of a second. Here that is
switched off: the task that adds rows also merges, a few pages at a time.
"""

import sqlite3
from collections.abc import Sequence

from daemon.domain.search import SoughtWords
from daemon.ledger.drivers.port import Connection

PAGES = 16
"""Merged in one write, of 4 kB: some milliseconds at most."""

SHORT = 3
"""Beginnings of so many letters are in the index; a longer one stands for the words that it has."""

MOST_TERMS = 64
"""Words that a beginning stands for: the most frequent ones."""


def matching(
    connection: Connection,
    words: SoughtWords,
    places: Sequence[str],
    *,
    since: int,
    below: int,
    most: int,
) -> list[int]:
    """The texts with these words, the newest first; of one of these places, if any are named."""
    groups = [f'"{word}"' for word in words.whole]
    if len(words.beginning) > SHORT:
        rows = connection.execute(
            "SELECT term FROM search_terms WHERE term >= ? AND term < ? ORDER BY doc DESC LIMIT ?",
            (words.beginning, f"{words.beginning}\U0010ffff", MOST_TERMS),
        )
        terms = [f'"{row[0]}"' for row in rows]
        if not terms:
            return []
        groups.append(f"({' OR '.join(terms)})")
    elif words.beginning:
        groups.append(f'"{words.beginning}"*')
    if places:
        names = " OR ".join(f'"{place}"' for place in places)
        groups.append(f"({names})")
    rows = connection.execute(
        "SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid >= ? AND rowid < ?"
        " ORDER BY rowid DESC LIMIT ?",
        (" AND ".join(groups), since, below, most),
    )
    return [int(row[0]) for row in rows]


def merge(connection: sqlite3.Connection) -> None:
    """Merge some of the index's parts, if there are enough of them."""
    connection.execute(
        "INSERT INTO search_index (search_index, rank) VALUES ('merge', ?)", (PAGES,)
    )


def purge(connection: sqlite3.Connection, *, begin: bool) -> bool:
    """Write the index anew without what was deleted, some pages at a time; False: it is done.

    FTS5 only marks what is deleted; its words lie in older parts until those are merged.
    """
    before = connection.total_changes
    if begin:  # a negative number makes all parts one to be merged
        connection.execute(
            "INSERT INTO search_index (search_index, rank) VALUES ('merge', ?)", (-PAGES,)
        )
        return True
    merge(connection)
    return connection.total_changes - before > 1
