"""List the files and functions of the daemon that one webhook enters until it is answered.

The webhook brings one text of a new contact to a daemon of its own, against the simulators, which
has answered another contact before. The list ends with the send of the answer: Whapi holds its
reply back, so that neither that nor the echo and the statuses count, however busy the machine is.
Periodic tasks do not count: see `walked_daemon`.
The sandbox is not counted. The last line is ``N files, M functions``.

Usage: python benchmarks/walk.py [--files]
"""

import argparse
import json
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from contenders import BUILD, HERE
from subject import outside_world, recado, written

PATIENCE = 60
SETTLE_SECONDS = 2
"""After the first exchange, until the tasks that follow it are at rest."""

IDLE_SECONDS = 15
"""How long the idle daemon is recorded: every task that runs every ten seconds runs."""

SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.5",
    # What is done every so often is no part of a message's way.
    "RECADO_HOUSEKEEPING__FIGURES_SECONDS": "3600",
    "RECADO_HOUSEKEEPING__SWEEP_SECONDS": "3600",
}


def walk() -> list[tuple[str, str]]:
    """The functions that were entered, each with its file, in order."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="walk-") as folder, outside_world() as world:
        output = Path(folder) / "functions.json"
        program = (str(HERE / "walked_daemon.py"), str(output))
        with recado(Path(folder) / "data", world, SETTINGS, program) as subject:
            world("manner", shortest=0.05, longest=0.06)
            world("burst", amount=1, rate=1, patience=PATIENCE)
            _wait_for_end(Path(folder) / "data" / "recado.db")
            world("hold_sends")
            subject.process.send_signal(signal.SIGUSR2)
            time.sleep(IDLE_SECONDS)  # noqa: TID251 - it is the time that is measured
            subject.process.send_signal(signal.SIGUSR2)
            found = world("burst", amount=1, rate=1, patience=PATIENCE)
            subject.process.send_signal(signal.SIGUSR2)
            functions: list[tuple[str, str]] = json.loads(written(output))
    if any(question["replies"] != 1 for question in found["questions"]):
        raise RuntimeError("the message was not answered once")
    return [(file, name) for file, name in functions if not file.startswith("sandbox/")]


def _wait_for_end(store: Path) -> None:
    """Wait until a turn is over, and its echo and status are stored beside its message."""
    ends = time.monotonic() + PATIENCE
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        over = "SELECT (SELECT state FROM turns) = 'done' AND (SELECT COUNT(*) FROM events) = 3"
        while not connection.execute(over).fetchone()[0]:
            if time.monotonic() > ends:
                raise RuntimeError("the first message was not answered")
            time.sleep(0.1)  # noqa: TID251 - another process is waited for, which tells nobody
    time.sleep(SETTLE_SECONDS)  # noqa: TID251 - likewise


def main() -> None:
    """Print the walk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", action="store_true", help="files alone, with how many functions")
    only_files = parser.parse_args().files
    functions = walk()
    files: dict[str, int] = {}
    for file, name in functions:
        if not only_files:
            print(f"{file}: {name}")
        files[file] = files.get(file, 0) + 1
    if only_files:
        for file, amount in files.items():
            print(f"{amount:4} {file}")
    print(f"{len(files)} files, {len(functions)} functions")


if __name__ == "__main__":
    main()
