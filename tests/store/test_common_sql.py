"""The ledger's methods use the SQL that SQLite and PostgreSQL share."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LEDGER = Path(__file__).parents[2] / "daemon" / "ledger"

OF_SQLITE = (
    "drivers/sqlite/",  # a driver
    "drivers/postgres/",  # the other
    "migrations/",  # numbered steps of SQLite's schema
    "forget/",  # erasing, by patterns and bounded by SQLite's write times
    "admin/backup.py",  # copies the file
    "admin/connection.py",  # tells the engines apart
    "admin/person.py",  # export, and recognising a person
)
"""Modules for one engine: another has its own."""

STATEMENT = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
FRAGMENT = re.compile(r"\b(SELECT|WHERE|FROM|SET|VALUES|ORDER BY|GROUP BY|ON CONFLICT|LIMIT)\b")

SQLITE_ONLY = {
    "INSERT OR": r"\b(INSERT|UPDATE) OR\b",
    "REPLACE INTO": r"\bREPLACE INTO\b",
    "GLOB": r"\bGLOB\b",
    "INDEXED BY": r"\bINDEXED BY\b",
    "a JSON function": r"\bjson_\w+\(",
    "GROUP_CONCAT": r"\bGROUP_CONCAT\b",
    "last_insert_rowid": r"\blast_insert_rowid\b|\browid\b",
    "a function of SQLite": r"\b(instr|hex|randomblob|zeroblob|total|ifnull|iif|printf|typeof)\(",
    "a numbered parameter": r"\?\d",
    "LIMIT -1": r"LIMIT -1",
    "MAX or MIN of several values": r"\b(MAX|MIN)\([^()]*,",
    "a sum of truths": r"\bSUM\([^()]*(=|<|>|\bIN\b|\bLIKE\b|\bIS\b)",
    "a truth as a number": r"\bSELECT EXISTS\b|\bCOALESCE\([^()]*=",
    "PRAGMA": r"\bPRAGMA\b",
    "double quotes": r'"',
    "== in place of =": r"==",
    "a row value compared with a query": r"\) = \(SELECT",
    "USING": r"\bUSING\b",
    "a temporary table": r"\bTEMP\b",
    "a column that is a reserved word": r"\bonly\b",
}
"""Words that PostgreSQL lacks, or understands otherwise."""

SUBQUERY = re.compile(r"FROM \(SELECT")

PLACES = re.compile(r"\b[A-Z_]+\b|listed\(.*\)|marks\(\w+\)")
"""What is put into SQL: constants, and lists of constants or of placeholders."""

BUILT_HERE = frozenset(
    [
        "ahead",
        "assignment",
        "assignments",
        "column",
        "columns",
        "condition",
        "kept",
        "leaves_turn",
        "line",
        "of_chat",
        "of_turn",
        "only",
        "order",
        "over",
        "read",
        "table",
        "where",
        "which",
    ]
)
"""Local names of fragments that the same function builds of constants."""


def _modules() -> list[Path]:
    return [
        path
        for path in sorted(LEDGER.rglob("*.py"))
        if not path.relative_to(LEDGER).as_posix().startswith(OF_SQLITE)
    ]


def _sql(tree: ast.Module) -> Iterator[tuple[int, str, list[ast.expr]]]:
    """Every SQL text of a module, whole or a fragment, with what is put into it."""
    inside: set[ast.AST] = {
        statement.value for statement in ast.walk(tree) if isinstance(statement, ast.Expr)
    }  # documentation
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            inside |= set(ast.walk(node))
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
            )
            values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text, values = node.value, []
        else:
            continue
        if STATEMENT.match(text) or FRAGMENT.search(text):
            yield node.lineno, text, values


def _faults(text: str) -> list[str]:
    faults = [name for name, words in SQLITE_ONLY.items() if re.search(words, text)]
    for found in SUBQUERY.finditer(text):
        rest = text[_end_of_parenthesis(text, found.start() + len("FROM ")) :]
        if not re.match(r"\) (AS )?(?!WHERE|ORDER|GROUP|LIMIT|UNION)\w+", rest):
            faults.append("a sub-query without a name")
    update = re.search(r"DO UPDATE SET(.*?)( RETURNING|$)", text, re.DOTALL)
    for column, value in re.findall(r"(\w+) = ([^,]+)", update[1] if update else ""):
        if re.search(rf"(?<![.\w:]){column}\b(?! =)", value.split(" WHERE ")[0]):
            faults.append(f"{column} without its table in DO UPDATE")
    return faults


def _end_of_parenthesis(text: str, start: int) -> int:
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return len(text)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(LEDGER).as_posix())
def test_a_shared_module_has_no_sql_of_one_engine(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    found = [f"{line}: {fault}" for line, text, _ in _sql(tree) for fault in _faults(text)]
    assert found == []
    assert "sqlite3" not in {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(LEDGER).as_posix())
def test_only_constants_are_put_into_sql(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    found = [
        f"{line}: {ast.unparse(value)}"
        for line, _, values in _sql(tree)
        for value in values
        if not PLACES.fullmatch(ast.unparse(value)) and ast.unparse(value) not in BUILT_HERE
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "INSERT OR IGNORE INTO own_ids VALUES (?, ?)",
        "SELECT chat FROM chats WHERE chat GLOB 'forgotten-*'",
        "SELECT MAX(0, tokens) FROM usage_days",
        "SELECT COALESCE(SUM(state = 'failed'), 0) FROM outbox",
        "SELECT chat FROM (SELECT chat FROM chats) WHERE chat = ?1",
        "INSERT INTO a (b) VALUES (?) ON CONFLICT (b) DO UPDATE SET c = c + 1",
        "SELECT json_extract(message, '$.author') FROM messages",
    ],
)
def test_the_check_above_sees_words_of_sqlite(text: str) -> None:
    assert _faults(text)


def test_the_check_above_lets_common_sql_pass() -> None:
    assert not _faults(
        "INSERT INTO a (b) SELECT n.b FROM (SELECT b FROM c) n WHERE n.b > ?"
        " ON CONFLICT (b) DO UPDATE SET c = a.c + excluded.c RETURNING b"
    )
