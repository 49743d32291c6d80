"""The index of words, by GIN: an array of terms for passages, a ``tsvector`` for texts of chats."""

import json
from collections.abc import Sequence

from daemon.domain.search import SoughtWords
from daemon.domain.states import CURRENT
from daemon.ledger.drivers.port import Connection

NEWEST = 10_000
"""Texts in which frequent words are looked for first: their index would give all that have them."""

_TERMS = "string_to_array(terms, ' ')"
"""As the index has it."""

_NEWEST = """
    SELECT id FROM (
        SELECT id, words FROM search_texts WHERE id >= :since AND id < :below
        ORDER BY id DESC LIMIT :newest
    ) newest WHERE words @@ CAST(:asked AS tsquery) ORDER BY id DESC LIMIT :most
"""
_BY_INDEX = """
    WITH found AS MATERIALIZED (
        SELECT id FROM search_texts WHERE words @@ CAST(:asked AS tsquery)
    )
    SELECT id FROM found WHERE id >= :since AND id < :below ORDER BY id DESC LIMIT :most
"""
"""Materialized: of a limit the planner concludes to read all texts backwards."""


class PostgresTextIndex:
    """See `daemon.ledger.drivers.port.TextIndex`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def passage_counts(self, terms: Sequence[str]) -> dict[str, int]:
        """How many passages, of all folders, have each term; a term that none has is left out."""
        rows = self._connection.execute(
            "SELECT value, (SELECT COUNT(*) FROM knowledge_passages"
            f" WHERE {_TERMS} @> ARRAY[value]) FROM json_each(?)",
            (json.dumps(list(terms)),),
        )
        return {str(term): int(count) for term, count in rows if count}

    def passages(self, terms: Sequence[str], *, folder: str, most: int, ranked: bool) -> list[int]:
        """``ranked``: those with the most terms first."""
        order = (
            f"ORDER BY (SELECT COUNT(DISTINCT value) FROM asked WHERE value = ANY({_TERMS})) DESC,"
            " knowledge_passages.id"
        )
        if not ranked:
            order = ""
        rows = self._connection.execute(
            "WITH asked AS (SELECT value FROM json_each(:terms)) SELECT knowledge_passages.id"
            " FROM knowledge_passages"
            " JOIN knowledge_documents ON knowledge_documents.id = document_id"
            f" WHERE {_TERMS} && ARRAY(SELECT value FROM asked)"
            f" AND folder = :folder AND state = '{CURRENT}' {order} LIMIT :most",
            {"terms": json.dumps(list(terms)), "folder": folder, "most": most},
        )
        return [int(row[0]) for row in rows]

    def texts(
        self, words: SoughtWords, places: Sequence[str], *, since: int, below: int, most: int
    ) -> list[int]:
        """The texts with these words, the newest first."""
        groups = [f"'{word}'" for word in words.whole]
        if words.beginning:
            groups.append(f"'{words.beginning}':*")
        if places:
            names = " | ".join(f"'{place}'" for place in places)
            groups.append(f"({names})")
        values = {"asked": " & ".join(groups), "since": since, "below": below, "most": most}
        if len(places) < 2:  # several are chats, in which the words are rare
            newest = {**values, "newest": NEWEST}
            rows = self._connection.execute(_NEWEST, newest).fetchall()
            if len(rows) == most:
                return [int(row[0]) for row in rows]
        return [int(row[0]) for row in self._connection.execute(_BY_INDEX, values)]

    def merge(self) -> None:
        """Do nothing: the server keeps its index in order."""

    def purge(self, *, begin: bool) -> bool:  # noqa: ARG002
        """Do nothing: the server's vacuum takes deleted words out."""
        return False
