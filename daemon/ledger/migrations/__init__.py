"""The tables' history: numbered SQL files, each applied once, in order, in one transaction."""

import re
import sqlite3
from importlib import resources

from daemon.domain.audit_chain import FIRST_HASH, Actor, digest_of, hash_of
from daemon.domain.progress import Progress, unwatched
from daemon.errors import StoreDamaged

GO_ON = re.compile(r"-- Versions since (\d+) go on with this step\.\n")
"""The first line of a step that leaves tables with which a Recado of an older version can work.

Such a step only adds: tables, indexes, columns with a default. What an older version reads and
writes is as it was: no name, no type, no condition and no meaning of a value has changed. It is
quick on large tables, since nodes wait meanwhile.
"""


def migrate(connection: sqlite3.Connection, progress: Progress = unwatched) -> None:
    """Bring the tables up to date; the file's version is SQLite's ``user_version``.

    ``progress`` gets the steps of a store that had tables before. Raises StoreDamaged if the file
    was written by a later Recado.
    """
    steps = sorted(
        (int(step.name[:4]), step.read_text("utf-8"))
        for step in resources.files(__name__).iterdir()
        if step.name.endswith(".sql")
    )
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    latest = steps[-1][0]
    if version > latest:
        raise StoreDamaged(
            f"the store has version {version}, this Recado knows {latest}: it was written by a"
            " later one"
        )
    _define_functions(connection)
    for number, script in steps:
        if number > version:
            if version:
                progress(number - version, latest - version, f"version {number}")
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
                )
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _define_functions(connection: sqlite3.Connection) -> None:
    """Define the hash functions of the audit chain, which its migration needs and SQLite lacks."""
    last = FIRST_HASH

    def chained(number: int, at: float, action: str, digest: str) -> str:
        nonlocal last
        last = hash_of(last, number, at, Actor(name=""), action, digest)
        return last

    connection.create_function("audit_digest", 4, digest_of)
    connection.create_function("audit_chained", 4, chained)


def latest_version() -> int:
    """The version that `migrate` brings a store to."""
    return max(
        int(step.name[:4])
        for step in resources.files(__name__).iterdir()
        if step.name.endswith(".sql")
    )


def oldest_after(number: int, script: str) -> int:
    """The first version whose Recado can work with the tables that a step leaves."""
    found = GO_ON.match(script)
    return int(found[1]) if found else number
