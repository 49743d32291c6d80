"""The index of the words of all chats: a ``tsvector`` of folded words, by GIN."""

from collections.abc import Sequence

from daemon.domain.search import SoughtWords
from daemon.ledger.drivers.port import Connection


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
    groups = [f"'{word}'" for word in words.whole]
    if words.beginning:
        groups.append(f"'{words.beginning}':*")
    if places:
        names = " | ".join(f"'{place}'" for place in places)
        groups.append(f"({names})")
    values = {"asked": " & ".join(groups), "since": since, "below": below, "most": most}
    if len(places) < 2:  # several are chats, in which the words are rare
        rows = connection.execute(_NEWEST, {**values, "newest": NEWEST}).fetchall()
        if len(rows) == most:
            return [int(row[0]) for row in rows]
    return [int(row[0]) for row in connection.execute(_BY_INDEX, values)]


NEWEST = 10_000
"""Texts in which frequent words are looked for first: their index would give all that have them."""

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
