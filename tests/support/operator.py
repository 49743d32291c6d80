"""An operator at the command line, and searches in the store's bytes."""

from pathlib import Path

import trio
from click.testing import CliRunner, Result

from daemon.__main__ import main
from support.place import variables_of_store


def recado_at(data_dir: Path, *arguments: str, answer: str = "") -> Result:
    """Run one command on a store; ``answer`` is typed when it asks."""
    command, *rest = arguments
    return CliRunner().invoke(
        main,
        [command, "--data-dir", str(data_dir), *rest],
        input=answer or None,
        env=variables_of_store(data_dir),
    )


async def recado(data_dir: Path, *arguments: str) -> Result:
    """Run one command in a thread, beside a daemon in this process."""
    return await trio.to_thread.run_sync(lambda: recado_at(data_dir, *arguments))


async def recado_on(data_dir: Path, *arguments: str, answer: str = "") -> Result:
    """Run a command that takes its store from the configuration, in a thread.

    ``answer``: its standard input.
    """
    environ = {"RECADO_DATA_DIR": str(data_dir), **variables_of_store(data_dir)}
    return await trio.to_thread.run_sync(
        lambda: CliRunner().invoke(main, list(arguments), input=answer, env=environ)
    )


def files_with(folder: Path, *words: str) -> list[str]:
    """The files under a folder whose bytes hold one of the words, and the word."""
    return [
        f"{path.relative_to(folder)}: {word}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes() or word in path.name
    ]


def names_in(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())
