"""The rows of a test's ledger, read and planted from outside the daemon.

Tests name a table, columns and conditions. The SQL is written here alone, in what SQLite and
PostgreSQL have in common; `support.place` says which of them gets it.

``table`` may be a join and ``columns`` expressions, if both databases know them. ``where`` maps a
column, or a column and an operator (``"state !="``, ``"id LIKE"``), to a value: None stands for
NULL, a tuple for any of its values.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from support.place import Place, database

Where = Mapping[str, Any]
ANY: Where = MappingProxyType({})

_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">=", "LIKE"})


def rows(place: Place, table: str, columns: str = "*", **clauses: Any) -> list[dict[str, Any]]:
    """Read rows as objects; ``where``, ``order`` and ``limit`` are as in `select`."""
    sql, parameters = _selection(table, columns, **clauses)
    with database().connect(place) as connection:
        cursor = connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def select(
    place: Place,
    table: str,
    columns: str = "*",
    *,
    where: Where = ANY,
    order: str = "",
    limit: int = 0,
) -> list[tuple[Any, ...]]:
    """Read rows as tuples."""
    sql, parameters = _selection(table, columns, where=where, order=order, limit=limit)
    with database().connect(place) as connection:
        return [tuple(row) for row in connection.execute(sql, parameters)]


def count(place: Place, table: str, *, where: Where = ANY) -> int:
    """Count rows."""
    ((number,),) = select(place, table, "COUNT(*)", where=where)
    return int(number)


def insert(place: Place, table: str, *planted: Mapping[str, Any]) -> None:
    """Plant rows, all with the same columns."""
    names, marks = ", ".join(planted[0]), ", ".join("?" * len(planted[0]))
    with database().connect(place, read_only=False) as connection:
        connection.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            [list(row.values()) for row in planted],
        )


def change(place: Place, table: str, values: Mapping[str, Any], *, where: Where = ANY) -> int:
    """Change rows directly; returns how many."""
    changes = ", ".join(f"{column} = ?" for column in values)
    condition, parameters = _condition(where)
    return _change(
        place,
        f"UPDATE {table} SET {changes}{condition}",  # noqa: S608
        [*values.values(), *parameters],
    )


def delete(place: Place, table: str, *, where: Where = ANY) -> int:
    """Delete rows; returns how many."""
    condition, parameters = _condition(where)
    return _change(place, f"DELETE FROM {table}{condition}", parameters)  # noqa: S608


def states_of(place: Place) -> dict[str, tuple[str, str]]:
    """State and reason of each customer message, by its id."""
    found = select(place, "messages", "id, state, reason", where={"from_me": 0})
    return {message_id: (state, reason) for message_id, state, reason in found}


def states(place: Place) -> set[str]:
    """The states that the customers' messages are in."""
    return {state for state, _ in states_of(place).values()}


def _change(place: Place, sql: str, parameters: Sequence[Any]) -> int:
    with database().connect(place, read_only=False) as connection:
        return connection.execute(sql, parameters).rowcount


def _selection(
    table: str, columns: str, *, where: Where = ANY, order: str = "", limit: int = 0
) -> tuple[str, list[Any]]:
    condition, parameters = _condition(where)
    sql = f"SELECT {columns} FROM {table}{condition}"  # noqa: S608
    if order:
        sql += f" ORDER BY {order}"
    if limit:
        sql += f" LIMIT {limit}"
    return sql, parameters


def _condition(where: Where) -> tuple[str, list[Any]]:
    """Write a condition, with what its parameters stand for."""
    terms: list[str] = []
    parameters: list[Any] = []
    for key, value in where.items():
        column, _, operator = key.partition(" ")
        operator = operator or "="
        assert operator in _OPERATORS, key
        negated = operator == "!="
        if value is None:
            terms.append(f"{column} IS {'NOT ' * negated}NULL")
        elif isinstance(value, tuple):
            terms.append(f"{column} {'NOT ' * negated}IN ({', '.join('?' * len(value))})")
            parameters += value
        else:
            terms.append(f"{column} {operator} ?")
            parameters.append(value)
    return f" WHERE {' AND '.join(terms)}" if terms else "", parameters
