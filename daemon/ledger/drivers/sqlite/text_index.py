"""The index of words: SQLite's FTS5, of stems and folded words, so that it only splits at spaces.

By itself FTS5 merges its parts inside somebody's transaction, for tenths of a second. For the texts
of chats that is switched off: the task that adds rows also merges, a few pages at a time.

A merge ends only between two terms, and a frequent one has all texts: in ten million of them it
would hold the writer for tenths of a second. So in the index of the texts each term begins with its
time, a week of it, and a search goes from the newest to the oldest until it has enough.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from daemon.domain.search import SoughtWords
from daemon.domain.states import CURRENT
from daemon.ledger.drivers.port import marks

AHEAD = 4
"""How many times the wanted passages are read at first, before those of other folders are left out:
looking up the folder of every match would take most of the time."""

PAGES = 16
"""Merged in one write, of 4 kB: some milliseconds at most."""

SHORT = 3
"""The longest beginning that is in the index; a longer one stands for the words that it has."""

MOST_TERMS = 64
"""Words that a beginning stands for in each time: the most frequent ones."""

IDS_OF_A_TIME = 4096 * 7 * 86400
"""The ids of texts of one week; the triggers on ``search_texts`` have the same number."""


class SqliteTextIndex:
    """See `daemon.ledger.drivers.port.TextIndex`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def passage_counts(self, terms: Sequence[str]) -> dict[str, int]:
        """How many passages, of all folders, have each term; a term that none has is left out."""
        rows = self._connection.execute(
            f"SELECT term, doc FROM knowledge_terms WHERE term IN ({marks(terms)})", terms
        )
        return {str(term): int(count) for term, count in rows}

    def passages(self, terms: Sequence[str], *, folder: str, most: int, ranked: bool) -> list[int]:
        """``ranked``: the best by BM25 first; else in the order of their storing, at no cost."""
        order = "ORDER BY rank" if ranked else ""
        wanted = " OR ".join(f'"{term}"' for term in terms)
        best = self._connection.execute(
            f"SELECT rowid FROM knowledge_index WHERE knowledge_index MATCH ? {order} LIMIT ?",
            (wanted, AHEAD * most),
        ).fetchall()
        ids = [int(row[0]) for row in best]
        rows = self._connection.execute(
            "SELECT knowledge_passages.id FROM knowledge_passages JOIN knowledge_documents"
            f" ON knowledge_documents.id = document_id WHERE folder = ? AND state = '{CURRENT}'"
            f" AND knowledge_passages.id IN ({marks(ids)})",
            (folder, *ids),
        )
        here = {int(row[0]) for row in rows}
        if len(here) >= most or len(ids) < AHEAD * most:
            return [number for number in ids if number in here][:most]
        rows = self._connection.execute(
            "SELECT knowledge_index.rowid FROM knowledge_index"
            " JOIN knowledge_passages ON knowledge_passages.id = knowledge_index.rowid"
            " JOIN knowledge_documents ON knowledge_documents.id = document_id"
            f" WHERE knowledge_index MATCH ? AND folder = ? AND state = '{CURRENT}'"
            f" {order} LIMIT ?",
            (wanted, folder, most),
        )
        return [int(row[0]) for row in rows]

    def texts(
        self, words: SoughtWords, places: Sequence[str], *, since: int, below: int, most: int
    ) -> list[int]:
        """The texts with these words, the newest first."""
        found: list[int] = []
        for time in self._times(since, below):
            wanted = self._wanted(words, places, f"{time:03x}")
            if wanted:
                rows = self._connection.execute(
                    "SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid >= ?"
                    " AND rowid < ? ORDER BY rowid DESC LIMIT ?",
                    (wanted, since, below, most - len(found)),
                )
                found += [int(row[0]) for row in rows]
            if len(found) >= most:
                break
        return found

    def _times(self, since: int, below: int) -> Iterator[int]:
        """The times between two ids in which there are texts, the newest first."""
        while True:
            (last,) = self._connection.execute(
                "SELECT MAX(id) FROM search_texts WHERE id >= ? AND id < ?", (since, below)
            ).fetchone()
            if last is None:
                return
            time = int(last) // IDS_OF_A_TIME
            yield time
            below = time * IDS_OF_A_TIME

    def _wanted(self, words: SoughtWords, places: Sequence[str], time: str) -> str:
        """What the index is asked for in one time; empty: it has no such word."""
        groups = [f'"{time}{word}"' for word in words.whole]
        if len(words.beginning) > SHORT:
            beginning = f"{time}{words.beginning}"
            rows = self._connection.execute(
                "SELECT term FROM search_terms WHERE term >= ? AND term < ?"
                " ORDER BY doc DESC LIMIT ?",
                (beginning, f"{beginning}\U0010ffff", MOST_TERMS),
            )
            terms = [f'"{row[0]}"' for row in rows]
            if not terms:
                return ""
            groups.append(f"({' OR '.join(terms)})")
        elif words.beginning:
            groups.append(f'"{time}{words.beginning}"*')
        if places:
            names = " OR ".join(f'"{time}{place}"' for place in places)
            groups.append(f"({names})")
        return " AND ".join(groups)

    def merge(self) -> None:
        """Merge some of the index's parts, if there are enough of them."""
        self._merge(PAGES)

    def purge(self, *, begin: bool) -> bool:
        """Write the index anew without what was deleted, some pages at a time.

        FTS5 only marks what is deleted; its words lie in older parts until those are merged.
        """
        before = self._connection.total_changes
        if begin:  # a negative number makes all parts one to be merged
            self._merge(-PAGES)
            return True
        self._merge(PAGES)
        return self._connection.total_changes - before > 1

    def _merge(self, pages: int) -> None:
        self._connection.execute(
            "INSERT INTO search_index (search_index, rank) VALUES ('merge', ?)", (pages,)
        )
