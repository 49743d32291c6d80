"""Tests ask a ledger for its rows by way of `support.rows`, whichever database it is in.

So ``TEST_STORE`` can choose another database for all of them but those marked ``sqlite``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.place import database, store_in
from support.rows import change, count, delete, insert, rows, select

from daemon.domain.messages import ChatKey

TESTS = Path(__file__).parent

SPEAKS_SQL = {
    "postgres/test_driver.py": "what only PostgreSQL does",
    "postgres/test_versions.py": "changes of tables, while others read and write",
    "postgres/test_nodes.py": "the rows by which nodes tell who has the ledger",
    "support/nodes.py": "the same, and a database on a server of its own",
    "support/node_faults.py": "cut connections",
    "support/newer.py": "a further step of the tables' history",
    "store/test_common_sql.py": "examples of what it finds in the ledger",
    "support/ledgers.py": "statements that tests of a driver hand to it",
    "support/postgres_proxy.py": "what passes by it",
    "support/emptied.py": "it empties databases",
    "support/place.py": "how a database is opened",
    "support/rows.py": "the reader",
    "support/plans.py": "asks how statements of the ledger are run",
    "postgres/test_plans.py": "statements that it looks at",
    "support/postgres_plans.py": "asks how statements of the ledger are run",
    "postgres/test_repeated_writes.py": "it reads all rows of PostgreSQL",
}
"""Other than these, only what is marked ``sqlite`` writes SQL or knows the file."""

SQL = re.compile(
    r"\b(SELECT\b.+|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA|EXPLAIN"
    r"|BEGIN IMMEDIATE|(CREATE|ALTER) (TEMP |UNIQUE )?(TABLE|INDEX|TRIGGER|VIEW))\b",
    re.DOTALL,
)


def is_marked(node: ast.AST) -> bool:
    """Whether a test carries the mark."""
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(one) == "pytest.mark.sqlite" for one in decorators)


def is_marked_whole(tree: ast.Module) -> bool:
    """Whether all tests of a module carry it."""
    marks = [node for node in tree.body if isinstance(node, ast.Assign)]
    return any(ast.unparse(node) == "pytestmark = pytest.mark.sqlite" for node in marks)


def unmarked(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes outside of what is marked."""
    for child in ast.iter_child_nodes(node):
        if not is_marked(child):
            yield child
            yield from unmarked(child)


def is_about_sqlite(node: ast.AST) -> bool:
    """Whether it is SQL, the library's ``connect``, or the path of the file."""
    match node:
        case ast.Constant(value=str(text)):
            return SQL.search(text) is not None
        case ast.Attribute(value=ast.Name(id="sqlite3"), attr="connect"):
            return True
        case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(name))):
            return name.startswith("recado.db")
    return False


def raw_sql(source: str) -> list[int]:
    """The lines of what is not marked that only SQLite understands."""
    tree = ast.parse(source)
    if is_marked_whole(tree):
        return []
    found = [
        node for node in unmarked(tree) if isinstance(node, ast.expr) and is_about_sqlite(node)
    ]
    return sorted(node.lineno for node in found)


def test_only_tests_of_sqlite_itself_speak_sql() -> None:
    found = {
        str(path.relative_to(TESTS)): lines
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(__file__) and (lines := raw_sql(path.read_text("utf-8")))
    }
    assert found.keys() == SPEAKS_SQL.keys(), found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def test():\n    look('SELECT id FROM messages')", [2]),
        ("def test():\n    connection.execute(f'PRAGMA user_version = {n}')", [2]),
        ("def test():\n    sqlite3.connect('recado.db')", [2]),
        ("@pytest.mark.sqlite\ndef test():\n    sqlite3.connect('recado.db')", []),
        ("import sqlite3\npytestmark = pytest.mark.sqlite\nSQL = 'DELETE FROM messages'", []),
        ("def test():\n    (data_dir / 'recado.db').unlink()", [2]),
        ("def test():\n    say('Please select a room')", []),
    ],
)
def test_sql_would_be_seen(source: str, lines: list[int]) -> None:
    assert raw_sql(source) == lines


async def test_planted_rows_are_read(tmp_path: Path) -> None:
    lines = [
        {"id": n, "at": n / 2, "kind": "message", "level": level, "line": f"line {n}"}
        for n, level in enumerate(("info", "info", "error"), 1)
    ]
    async with store_in(tmp_path) as store:
        insert(store, "log_lines", *lines)
        assert select(store, "log_lines", "id, at", order="id DESC", limit=2) == [(3, 1.5), (2, 1)]
        assert rows(store, "log_lines", "id", where={"at >": 1}) == [{"id": 3}]
        assert count(store, "log_lines", where={"level !=": "error", "line LIKE": "%2"}) == 1
        assert count(store, "log_lines", where={"id": (1, 3, 4)}) == 2
        assert count(store, "log_lines", where={"id !=": (1, 3)}) == 1
        assert change(store, "log_lines", {"level": "warning"}, where={"id <=": 2}) == 2
        # The ledger's own connections are not disturbed.
        await store.dashboard_log.chat_names(ChatKey("", ""))
    assert count(tmp_path, "log_lines", where={"level": "warning"}) == 2
    assert delete(tmp_path, "log_lines", where={"id": 1}) == 1
    assert count(tmp_path, "log_lines") == 2


async def test_null_is_none(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        event = {"received_at": 0, "channel": "", "event": "x"}
        insert(store, "events", {"body": b"x", **event}, {"body": None, **event})
        assert count(store, "events", where={"body": None}) == 1
        assert select(store, "events", "body", where={"body !=": None}) == [(b"x",)]


async def test_a_look_changes_nothing(tmp_path: Path) -> None:
    async with store_in(tmp_path):
        pass
    with database().connect(tmp_path) as connection, pytest.raises(Exception, match="readonly"):
        connection.execute("DELETE FROM log_lines")


async def test_planted_rows_keep_to_the_references(tmp_path: Path) -> None:
    """A server checks them for every connection, so the tests' own does so here too."""
    details = dict.fromkeys(("salt", "subject", "before", "after"), "")
    async with store_in(tmp_path) as store:
        with pytest.raises(Exception, match="FOREIGN KEY"):
            insert(store, "audit_details", {"audit_id": 9} | details)
        assert count(store, "audit_details") == 0
