"""Databases of PostgreSQL that are used again: to empty one takes a hundredth of making one."""

import contextlib
import json
from typing import Any

import psycopg

SCHEMA = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat(attrelid::regclass, '.', attname, atttypid, attnotnull, atthasdef) AS part
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attnum > 0 AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat(conrelid::regclass, '.', conname) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat(tgrelid::regclass, '.', tgname) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT concat(proname, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT setconfig::text FROM pg_db_role_setting
) AS parts
"""
"""What tells tables from those that a test has changed: columns, indexes, and what checks rows."""

USED = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
"""
"""The tables that have pages, with rows or without."""

RESTART = """
SELECT setval(format('%I', sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""


class Emptied:
    """The databases of tests that have ended, and what there is in one that is new."""

    def __init__(self, template: str) -> None:
        self._free: list[str] = []
        with psycopg.connect(template, autocommit=True) as connection:
            self._schema = _one(connection, SCHEMA)
            rows = {
                name: _one(connection, f"SELECT json_agg({name}) FROM {name}")  # noqa: S608 - ours
                for name in _used(connection)
            }
            self._rows = {name: json.dumps(found) for name, found in rows.items() if found}
            self._sequences = connection.execute(
                "SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL"
            ).fetchall()

    def give(self, url: str) -> None:
        """Take the database of a test that has ended."""
        self._free.append(url)

    def take(self) -> str:
        """The address of a database that is like a new one; empty if there is none."""
        while self._free:
            url = self._free.pop()
            with contextlib.suppress(psycopg.Error):
                if self._is_emptied(url):
                    return url
        return ""

    def _is_emptied(self, url: str) -> bool:
        """False: a test has changed its tables."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
            if _one(connection, SCHEMA) != self._schema:
                return False
            if used := _used(connection):
                with connection.transaction():
                    # Rows that refer to each other go together.
                    connection.execute("SET LOCAL session_replication_role = replica")
                    for name in used:
                        connection.execute(f"DELETE FROM {name}".encode())  # noqa: S608 - ours
                # New rows are to be read in their order, so none may take the place of an old one.
                connection.execute(f"VACUUM {', '.join(used)}".encode())
            if _used(connection):
                return False
            for name, rows in self._rows.items():
                source = f"json_populate_recordset(NULL::{name}, %s)"
                insert = f"INSERT INTO {name} SELECT * FROM {source}"  # noqa: S608 - ours
                connection.execute(insert.encode(), [rows])
            connection.execute(RESTART)
            for name, last in self._sequences:
                connection.execute("SELECT setval(%s::regclass, %s)", [name, last])
        return True


def _used(connection: "psycopg.Connection[Any]") -> list[str]:
    return [name for (name,) in connection.execute(USED).fetchall()]


def _one(connection: "psycopg.Connection[Any]", sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    return row[0] if row else None
