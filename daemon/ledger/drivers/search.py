"""The index of the words of all chats, of the engine that a connection belongs to."""

import sqlite3
from collections.abc import Sequence

from daemon.domain.search import SoughtWords
from daemon.ledger.drivers.port import Connection
from daemon.ledger.drivers.postgres import search as postgres
from daemon.ledger.drivers.sqlite import search as sqlite


def matching(
    connection: Connection,
    words: SoughtWords,
    places: Sequence[str],
    *,
    since: int,
    below: int,
    most: int,
) -> list[int]:
    """The texts with these words, the newest first; of one of these places, if any are named.

    Only those from id ``since`` on and ``below`` another.
    """
    if isinstance(connection, sqlite3.Connection):
        return sqlite.matching(connection, words, places, since=since, below=below, most=most)
    return postgres.matching(connection, words, places, since=since, below=below, most=most)


def merge(connection: Connection) -> None:
    """Keep the index in good order, after rows were added; a server does so by itself."""
    if isinstance(connection, sqlite3.Connection):
        sqlite.merge(connection)


def purge(connection: Connection, *, begin: bool) -> bool:
    """Take deleted words out of the index's bytes, a few pages at a time; False: it is done."""
    return isinstance(connection, sqlite3.Connection) and sqlite.purge(connection, begin=begin)
