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
    rows = connection.execute(
        "SELECT id FROM search_texts WHERE words @@ CAST(? AS tsquery) AND id >= ? AND id < ?"
        " ORDER BY id DESC LIMIT ?",
        (" & ".join(groups), since, below, most),
    )
    return [int(row[0]) for row in rows]
