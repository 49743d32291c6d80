"""The plans of the ledger's statements in PostgreSQL: none may read a large table as a whole.

Its planner goes by the tables' sizes, so the large ones are made to look large, each with one row.
Reading a table as a whole is made expensive, too (``enable_seqscan``): it is chosen only where no
index serves, and an index that is read without a condition is no better. See `support.plans` for
SQLite's.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

from daemon.ledger.drivers.postgres.connection import PostgresConnection, Psycopg, _translated
from support.plans import EXCEPTIONS, LARGE, Statement

_PLACEHOLDER = re.compile(rb"%(?:\(\w+\))?s")
_OF_A_NUMBER = re.compile(r"\(\(?channel = [^()]*\)?\)")
"""The condition that all rows of a number meet, which may be the only one."""
_OTHER_SCHEMA = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)


def scans(statements: Iterable[Statement], connection: PostgresConnection) -> list[str]:
    """The statements with which PostgreSQL would read a large table, or a whole index of one.

    ``connection`` is to a database of its own with the ledger's tables, whose constraints it loses;
    no statement is run. One that cannot be explained is named, too.
    """
    asked = connection.psycopg
    _look_large(asked)
    asked.execute("SET enable_seqscan = off")
    partial = {
        name
        for (name,) in asked.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indpred IS NOT NULL"
        )
    }
    faults = []
    for statement in sorted(set(statements)):
        if statement.place in EXCEPTIONS or not _PLANNED.match(statement.sql):
            continue
        # Any value does: an untyped literal becomes what its place wants.
        sql = _PLACEHOLDER.sub(b"'1'", _translated(statement.sql)).replace(b"%%", b"%")
        try:
            row = asked.execute(b"EXPLAIN (FORMAT JSON) " + sql, prepare=False).fetchone()
        except _OTHER_SCHEMA:
            continue
        except psycopg.Error as error:
            faults.append(f"{statement.place}: {error}\n    {statement.sql}")
            continue
        plan = row[0] if row else []
        found = json.loads(plan) if isinstance(plan, str) else plan
        faults += [
            f"{statement.place}: {fault}\n    {statement.sql}"
            for fault in _faults(found[0]["Plan"], partial, is_limited=False)
        ]
    return faults


def _look_large(asked: Psycopg) -> None:
    """One row in each large table, and a page that the planner takes for very full.

    It takes the values of a column for all different, as they nearly are, but for the number.
    """
    asked.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
    dropped = asked.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c'"
        " AND connamespace = 'public'::regnamespace AND conrelid != 0"
    ).fetchall()
    for table, name in dropped:
        asked.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
    columns = defaultdict[str, dict[str, str]](dict)
    for table, column, kind in asked.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL"
        " AND is_generated = 'NEVER' AND is_identity = 'NO'"
    ).fetchall():
        columns[table][column] = "'{}'" if kind in {"text", "bytea"} else "1"
    for table in LARGE & columns.keys():
        names, values = ", ".join(columns[table]), ", ".join(columns[table].values())
        insert = f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - names of ours
        asked.execute(insert.encode())
        if "channel" in columns[table]:
            asked.execute(f"ALTER TABLE {table} ALTER COLUMN channel SET (n_distinct = 1)".encode())
        asked.execute(f"ANALYZE {table}".encode())
        asked.execute(
            "UPDATE pg_class SET relpages = 1, reltuples = 100000 WHERE oid = %s::regclass",
            (table,),
        )


_PLANNED = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def _faults(node: dict[str, Any], partial: set[str], *, is_limited: bool) -> Iterator[str]:
    """What is read as a whole below a node of a plan; ``is_limited``: as far as a limit."""
    kind, table = node["Node Type"], node.get("Relation Name", "")
    index, condition = node.get("Index Name", ""), node.get("Index Cond", "")
    ends_early = is_limited and "Filter" not in node
    if kind == "Seq Scan" and table in LARGE and not ends_early:
        yield f"{kind} on {table}"
    is_whole = not condition or _OF_A_NUMBER.fullmatch(condition)
    if index and is_whole and index not in partial and not ends_early:
        named = table or next((one for one in LARGE if index.startswith(one)), "")
        if named in LARGE:
            yield f"{kind} on {named} using {index}: {condition or 'without a condition'}"
    for inner in node.get("Plans", ()):
        limited = kind == "Limit" or (is_limited and kind in {"Result", "LockRows", "Append"})
        yield from _faults(inner, partial, is_limited=limited)
