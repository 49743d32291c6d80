"""Looking into a store from outside, as an operator would with sqlite3."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def read_rows(data_dir: Path, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a query on the store in ``data_dir`` without being able to change it."""
    address = f"file:{data_dir / 'recado.db'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return connection.execute(query, parameters).fetchall()


def fates(data_dir: Path) -> dict[str, tuple[str, str]]:
    """State and reason of each customer message, by its id."""
    rows = read_rows(data_dir, "SELECT id, state, reason FROM messages WHERE from_me = 0")
    return {message_id: (state, reason) for message_id, state, reason in rows}


def states(data_dir: Path) -> set[str]:
    """The states that the customers' messages are in."""
    return {state for state, _ in fates(data_dir).values()}
