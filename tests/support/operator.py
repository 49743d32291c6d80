"""An operator at the command line, and a look at the store's rows and bytes."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import trio
from click.testing import CliRunner, Result

from daemon.__main__ import main


def recado_at(data_dir: Path, *arguments: str, answer: str = "") -> Result:
    """Run one command on a store; ``answer`` is typed when it asks."""
    command, *rest = arguments
    return CliRunner().invoke(
        main, [command, "--data-dir", str(data_dir), *rest], input=answer or None
    )


async def recado(data_dir: Path, *arguments: str) -> Result:
    """Run one command in a thread, beside a daemon in this process."""
    return await trio.to_thread.run_sync(lambda: recado_at(data_dir, *arguments))


def rows(data_dir: Path, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Read rows of a store as objects."""
    with closing(sqlite3.connect(data_dir / "recado.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, parameters)]


def change(data_dir: Path, statement: str, *parameters: object) -> None:
    """Change rows of a store, as something that no verb does."""
    with closing(sqlite3.connect(data_dir / "recado.db")) as connection, connection:
        connection.execute(statement, parameters)


def files_with(folder: Path, *words: str) -> list[str]:
    """Name the files under a folder whose bytes hold one of the words, and the word."""
    return [
        f"{path.relative_to(folder)}: {word}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes() or word in path.name
    ]


def names_in(folder: Path) -> list[str]:
    """Name what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
