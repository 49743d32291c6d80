"""Moving a ledger between SQLite and PostgreSQL, with proof that nothing is missing.

All of it is one transaction of the target: it is there whole, or the target is as empty as before
and the command can be run again. Each table is counted and hashed as it is read, and again as it
lies in the target, before that transaction is committed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

import msgspec

from daemon.domain.progress import Progress
from daemon.errors import StoreError, StoreUnavailable

Row = tuple[Any, ...]

SEEDED = frozenset({"audit_head", "process_ends"})
"""Tables that have rows from the first migration on."""

LEFT = frozenset(
    {"numbers", "nodes", "commands", "search_texts", "search_cursors", "search_changes"}
)
"""What is about the processes that serve a ledger now, or is made again of what it holds."""

WAITING = "waiting_calls"
"""Calls that only the daemon can take in."""

UNNAMED = "rowid"
"""A column that SQLite has in each table and does not list; PostgreSQL has it where it is used."""

PROGRESS_ROWS = 5_000


class StoreSide(Protocol):
    """One of the two databases, inside a transaction that sees one moment of it."""

    def tables(self) -> Mapping[str, Sequence[str]]:
        """The names of the tables, each with its columns; not those that the database derives."""

    def parents(self) -> Mapping[str, set[str]]:
        """For each table those whose rows its own refer to."""

    def count(self, table: str) -> int:
        """How many rows a table has."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """All rows of a table, in any order."""

    def last_ids(self) -> Mapping[str, int]:
        """For each table with ids that never come twice, the last one that was given."""

    def empty(self, table: str) -> None:
        """Delete the rows of a table."""

    def storable(self, row: Row) -> Row:
        """Return a row as this database stores it."""

    def fill(self, table: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
        """Store rows as they are: nothing is added up, derived or filled in."""

    def finish(self, last_ids: Mapping[str, int]) -> None:
        """Make the tables ready for use: ids go on behind the last ones, indexes are complete."""


@dataclass(frozen=True, slots=True)
class MovedTable:
    """A table that is in both databases now."""

    name: str
    rows: int
    digest: str
    """The sum of the hashes of its rows: the same for the same rows in any order."""
    changed: int
    """Rows with characters that the target cannot store; they are marked there."""


class _Sum:
    """A sum of hashes of rows."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, row: Row) -> None:
        """Add one row."""
        self.rows += 1
        digest = hashlib.sha256(msgspec.msgpack.encode(row)).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % 2**256

    @property
    def digest(self) -> str:
        """The sum, in hexadecimal."""
        return f"{self._sum:064x}"


def move(
    source: StoreSide, target: StoreSide, *, events: Path, into_rows: bool, progress: Progress
) -> list[MovedTable]:
    """Copy all tables and compare them. Inside the transactions of the caller, who commits.

    ``events`` is the folder of large raw calls; ``into_rows``: their bytes go into the target,
    where every node reads them. ``progress`` gets rows, and the table. Raises StoreError if the two
    do not fit or the target is not empty, StoreUnavailable if a table differs afterwards.
    """
    columns = _common(source, target)
    if WAITING in columns and source.count(WAITING):
        raise StoreError("webhook calls wait to be taken in: let the daemon do that first")
    _require_empty(target, columns)
    moved = []
    parents = target.parents()
    rows = _Rows({name: source.count(name) for name in columns}, progress)
    order = TopologicalSorter({name: parents.get(name, set()) & set(columns) for name in columns})
    for name in order.static_order():
        file = _FromFiles(events, columns[name]) if name == "events" and into_rows else None
        moved.append(_moved(source, target, name, columns[name], file, rows))
    target.finish(source.last_ids())
    return moved


def _common(source: StoreSide, target: StoreSide) -> dict[str, Sequence[str]]:
    """The tables that are moved, with their columns. Both ledgers have the same version."""
    theirs, ours = source.tables(), target.tables()
    missing = set(theirs) ^ set(ours)
    if missing:
        raise StoreError(f"only one of the stores has the tables {', '.join(sorted(missing))}")
    for name, columns in theirs.items():
        if (set(columns) ^ set(ours[name])) - {UNNAMED}:
            raise StoreError(f"the table {name} has other columns in the two stores")
    return {
        name: tuple(sorted({*theirs[name], *ours[name]})) for name in theirs if name not in LEFT
    }


def _require_empty(target: StoreSide, columns: Mapping[str, Sequence[str]]) -> None:
    full = [name for name in columns if name not in SEEDED and target.count(name)]
    if full:
        raise StoreError(
            f"the target is not empty: it has rows in {', '.join(sorted(full))}; name an empty one"
        )
    for name in SEEDED & set(columns):
        target.empty(name)


def _moved(
    source: StoreSide,
    target: StoreSide,
    name: str,
    columns: Sequence[str],
    from_files: "_FromFiles | None",
    rows: "_Rows",
) -> MovedTable:
    total, read, changed = rows.of[name], _Sum(), 0

    def taken() -> Iterator[Row]:
        nonlocal changed
        for row in source.rows(name, columns):
            whole = from_files(row) if from_files else row
            storable = target.storable(whole)
            changed += storable != whole
            read.add(storable)
            if read.rows % PROGRESS_ROWS == 0:
                rows.add(PROGRESS_ROWS, name)
            yield storable

    target.fill(name, columns, taken())
    stored = _Sum()
    for row in target.rows(name, columns):
        stored.add(row)
    if (read.rows, read.digest) != (stored.rows, stored.digest) or read.rows != total:
        raise StoreUnavailable(
            f"the table {name} differs: {total} rows, {read.rows} read, {stored.rows} stored;"
            " nothing was moved"
        )
    rows.add(total % PROGRESS_ROWS, name)
    return MovedTable(name, read.rows, read.digest, changed)


class _Rows:
    """The rows of all tables, for the progress bar."""

    def __init__(self, of: Mapping[str, int], progress: Progress) -> None:
        self.of = of
        """How many each table has."""
        self._all = sum(of.values())
        self._done = 0
        self._progress = progress

    def add(self, rows: int, table: str) -> None:
        """Count more rows of a table as done."""
        self._done += rows
        self._progress(self._done, self._all, table)


class _FromFiles:
    """Puts the bytes of a large raw call into its row."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._body, self._file = columns.index("body"), columns.index("body_file")

    def __call__(self, row: Row) -> Row:
        """Return the row with its bytes; one whose file is gone stays as it is."""
        if not row[self._file]:
            return row
        values = list(row)
        with suppress(FileNotFoundError):
            values[self._body] = (self._folder / row[self._file]).read_bytes()
            values[self._file] = ""
        return tuple(values)
