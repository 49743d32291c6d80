"""The index of passages: SQLite's FTS5. Terms are stems already, so it only splits at spaces."""

from collections.abc import Sequence

from daemon.domain.states import CURRENT
from daemon.ledger.drivers.port import Connection, marks


def counts_of(connection: Connection, terms: Sequence[str]) -> dict[str, int]:
    """How many passages, of all folders, have each term; a term that none has is left out."""
    rows = connection.execute(
        f"SELECT term, doc FROM knowledge_terms WHERE term IN ({marks(terms)})", terms
    )
    return {str(term): int(count) for term, count in rows}


def matching(connection: Connection, terms: Sequence[str], *, folder: str, most: int) -> list[int]:
    """The passages of a folder's documents that have any of these terms, the best by BM25 first."""
    rows = connection.execute(
        "SELECT knowledge_index.rowid FROM knowledge_index"
        " JOIN knowledge_passages ON knowledge_passages.id = knowledge_index.rowid"
        " JOIN knowledge_documents ON knowledge_documents.id = document_id"
        f" WHERE knowledge_index MATCH ? AND folder = ? AND state = '{CURRENT}'"
        " ORDER BY knowledge_index.rank LIMIT ?",
        (" OR ".join(f'"{term}"' for term in terms), folder, most),
    )
    return [int(row[0]) for row in rows]
