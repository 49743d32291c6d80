"""The index of passages: their terms as an array, by GIN. Terms are stems already."""

import json
from collections.abc import Sequence

from daemon.domain.states import CURRENT
from daemon.ledger.drivers.port import Connection

_TERMS = "string_to_array(terms, ' ')"
"""As the index has it."""


def counts_of(connection: Connection, terms: Sequence[str]) -> dict[str, int]:
    """How many passages, of all folders, have each term; a term that none has is left out."""
    rows = connection.execute(
        "SELECT value, (SELECT COUNT(*) FROM knowledge_passages"
        f" WHERE {_TERMS} @> ARRAY[value]) FROM json_each(?)",
        (json.dumps(list(terms)),),
    )
    return {str(term): int(count) for term, count in rows if count}


def matching(
    connection: Connection, terms: Sequence[str], *, folder: str, most: int, ranked: bool
) -> list[int]:
    """The passages of a folder's documents that have any of these terms.

    ``ranked``: those with the most terms first; else in any order, which costs less.
    """
    order = (
        f"ORDER BY (SELECT COUNT(DISTINCT value) FROM asked WHERE value = ANY({_TERMS})) DESC,"
        " knowledge_passages.id"
    )
    if not ranked:
        order = ""
    rows = connection.execute(
        "WITH asked AS (SELECT value FROM json_each(:terms)) SELECT knowledge_passages.id"
        " FROM knowledge_passages JOIN knowledge_documents ON knowledge_documents.id = document_id"
        f" WHERE {_TERMS} && ARRAY(SELECT value FROM asked)"
        f" AND folder = :folder AND state = '{CURRENT}' {order} LIMIT :most",
        {"terms": json.dumps(list(terms)), "folder": folder, "most": most},
    )
    return [int(row[0]) for row in rows]
