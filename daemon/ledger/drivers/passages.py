"""The index of passages of the engine that a connection belongs to."""

import sqlite3
from collections.abc import Sequence

from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.postgres import passages as postgres
from daemon.ledger.drivers.sqlite import passages as sqlite


def counts_of(connection: Connection, terms: Sequence[str]) -> dict[str, int]:
    """How many passages, of all folders, have each term; a term that none has is left out."""
    if isinstance(connection, sqlite3.Connection):
        return sqlite.counts_of(connection, terms)
    return postgres.counts_of(connection, terms)


def matching(
    connection: Connection, terms: Sequence[str], *, folder: str, most: int, ranked: bool
) -> list[int]:
    """The passages of a folder's documents that have any of these terms.

    ``ranked``: the best first; else in any order, which costs less.
    """
    if isinstance(connection, sqlite3.Connection):
        return sqlite.matching(connection, terms, folder=folder, most=most, ranked=ranked)
    return postgres.matching(connection, terms, folder=folder, most=most, ranked=ranked)
