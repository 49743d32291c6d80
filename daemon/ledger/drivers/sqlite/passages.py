"""The index of passages: SQLite's FTS5. Terms are stems already, so it only splits at spaces."""

from collections.abc import Sequence

from daemon.domain.states import CURRENT
from daemon.ledger.drivers.port import Connection, marks

AHEAD = 4
"""So many times the wanted passages are read at first, before those of other folders are left out:
looking up the folder of every match would take most of the time."""


def counts_of(connection: Connection, terms: Sequence[str]) -> dict[str, int]:
    """How many passages, of all folders, have each term; a term that none has is left out."""
    rows = connection.execute(
        f"SELECT term, doc FROM knowledge_terms WHERE term IN ({marks(terms)})", terms
    )
    return {str(term): int(count) for term, count in rows}


def matching(
    connection: Connection, terms: Sequence[str], *, folder: str, most: int, ranked: bool
) -> list[int]:
    """The passages of a folder's documents that have any of these terms.

    ``ranked``: the best by BM25 first; else in the order of their storing, which costs nothing.
    """
    order = "ORDER BY rank" if ranked else ""
    wanted = " OR ".join(f'"{term}"' for term in terms)
    best = connection.execute(
        f"SELECT rowid FROM knowledge_index WHERE knowledge_index MATCH ? {order} LIMIT ?",
        (wanted, AHEAD * most),
    ).fetchall()
    ids = [int(row[0]) for row in best]
    rows = connection.execute(
        "SELECT knowledge_passages.id FROM knowledge_passages JOIN knowledge_documents"
        f" ON knowledge_documents.id = document_id WHERE folder = ? AND state = '{CURRENT}'"
        f" AND knowledge_passages.id IN ({marks(ids)})",
        (folder, *ids),
    )
    here = {int(row[0]) for row in rows}
    if len(here) >= most or len(ids) < AHEAD * most:
        return [number for number in ids if number in here][:most]
    rows = connection.execute(
        "SELECT knowledge_index.rowid FROM knowledge_index"
        " JOIN knowledge_passages ON knowledge_passages.id = knowledge_index.rowid"
        " JOIN knowledge_documents ON knowledge_documents.id = document_id"
        f" WHERE knowledge_index MATCH ? AND folder = ? AND state = '{CURRENT}'"
        f" {order} LIMIT ?",
        (wanted, folder, most),
    )
    return [int(row[0]) for row in rows]
