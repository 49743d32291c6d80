"""The plans of all statements that the ledger runs in tests: none may grow with the store.

The fixture ``noted_statements`` collects them, in all tests of the store and of the dashboard. At
the end of the test process SQLite is asked how it would run them, and in tests on PostgreSQL that
one too (`support.postgres_plans`). SQLite's planner knows no sizes, so its plans are those of a
store of any size.
"""

import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

from daemon.ledger.drivers.postgres.connection import PostgresConnection
from daemon.ledger.drivers.sqlite.database import SqliteConnection
from daemon.ledger.migrations import migrate

LEDGER = Path(__file__).parents[2] / "daemon" / "ledger"

LARGE = frozenset(
    {
        *("events", "messages", "turns", "outbox", "runs", "responses", "tool_calls", "chats"),
        *("thread_items", "thread_heads", "stages", "usage", "usage_days", "media", "aliases"),
        *("facts", "calls", "send_failures", "interim_messages", "webhook_deliveries"),
        *("audit", "audit_details", "reminders", "escalations", "knowledge_questions"),
    }
)
"""Tables that grow with the messages, or with the contacts."""

MAY_SCAN = (
    "admin/",  # commands, which nothing waits for
    "former_channels.py",  # once, when a number gets a name
)
"""Modules whose statements may read a large table as a whole."""

EXCEPTIONS = {
    "views/chat_list.py:_chats_of_time": "the newest messages, as many as MESSAGES_OF_TIME",
    "views/chat_list.py:chats_of": "in the order of an index, MOST_CHATS",
    "views/chat_list.py:_rows": "in the order of an index, as far as the page",
    "labels.py:_replace": "of one chat; of all when an operator renames or deletes a label",
    "notifications.py:Notifications.escalations": "the newest ones, NEWEST_ESCALATIONS",
    "audit.py:audit_rows": "what an operator asks for; the chain is verified as a whole",
    "forget/other_texts.py:mentions_in": "tables with a row a contact, once for each person",
    "threads.py:Threads.counts": "all chats are counted, in their index, once in a while",
}
"""Functions with a statement that reads a large table, bounded otherwise."""


class Statement(NamedTuple):
    """One statement, and the function that runs it: ``turns.py:Turns.open``."""

    sql: str
    place: str


SEEN: set[Statement] = set()


@lru_cache(4096)
def _place(file: str, function: str) -> str:
    path = Path(file)
    if not path.is_relative_to(LEDGER):
        return ""
    name = path.relative_to(LEDGER).as_posix()
    if name.startswith(("drivers/", "migrations/", *MAY_SCAN)):
        return ""
    return f"{name}:{function.replace('.<locals>', '').removesuffix('.<listcomp>')}"


def _note(sql: str, frame: FrameType) -> None:
    place = _place(frame.f_code.co_filename, frame.f_code.co_qualname)
    if place:
        SEEN.add(Statement(sql, place))


def _noting(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_and_note(self: Any, sql: str, *parameters: Any) -> Any:
        _note(sql, sys._getframe(1))
        return run(self, sql, *parameters)

    return run_and_note


@contextmanager
def noted() -> Iterator[None]:
    """Note the statements of all connections of the ledger during the block."""
    with pytest.MonkeyPatch.context() as patch:
        for connection in (SqliteConnection, PostgresConnection):
            for name in ("execute", "executemany"):
                patch.setattr(connection, name, _noting(getattr(connection, name)))
        yield


_SCAN = re.compile(
    r"^SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?"
    r"|^SEARCH (\w+) USING (?:PRIMARY KEY|(?:COVERING )?INDEX (\w+)) \(channel=\?\)$"
    r"|^SEARCH (\w+) USING INTEGER PRIMARY KEY \(rowid<\?\)$"
)
"""Reading all rows, those of an index, those of a number, which may be the only one, or all those
before one."""
_NAMED = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?")
_PARTIAL = re.compile(r"CREATE (?:UNIQUE )?INDEX (\w+)[^;]*?\bWHERE\b", re.DOTALL)


def scans(statements: Iterable[Statement]) -> list[str]:
    """The statements with which SQLite reads a large table, or a whole index of one."""
    faults = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        schema = "\n".join(
            f"{row[0]};"
            for row in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'index'")
        )
        partial = set(_PARTIAL.findall(schema))
        for statement in sorted(set(statements)):
            if statement.place in EXCEPTIONS:
                continue
            try:
                rows = connection.execute(
                    f"EXPLAIN QUERY PLAN {statement.sql}", _nothing(statement)
                )
                plan = [str(row[3]) for row in rows]
            except sqlite3.Error:
                continue  # of another schema: a step of a migration, a table of a test
            faults += [
                f"{statement.place}: {line}\n    {statement.sql}"
                for line in plan
                if _is_large(line, statement.sql, partial)
            ]
    return faults


def _is_large(line: str, sql: str, partial: set[str]) -> bool:
    found = _SCAN.match(line)
    if found is None or (found[2] or found[4]) in partial:
        return False
    table = found[1] or found[3] or found[5]
    names = {alias or table: table for table, alias in _NAMED.findall(sql)}
    names |= {table: table for table in names.values()}
    return names.get(table, table) in LARGE and not _is_newest(sql, line)


def _is_newest(sql: str, line: str) -> bool:
    """Whether a table is read only from its end, as far as a limit: the first condition decides."""
    return "LIMIT 1" in sql and "WHERE" not in sql and "INDEX" not in line


def _nothing(statement: Statement) -> Any:
    named = set(re.findall(r"(?<![\w:]):(\w+)", statement.sql))
    if named:
        return dict.fromkeys(named)
    return [None] * statement.sql.count("?")
