"""List the files and functions of the daemon that one webhook enters until it is answered.

The webhook brings one text of a new contact to a daemon of its own, against the simulators. What
only the echo and the statuses of the answer enter is listed too where they arrive in time. The
sandbox is not counted. The last line is ``N files, M functions``.

Usage: python benchmarks/walk.py [--files]
"""

import argparse
import json
import signal
import tempfile
from pathlib import Path

import trio
from contenders import BUILD, HERE
from subject import outside_world, recado, written

PATIENCE = 60
SETTLE_SECONDS = 2
"""Until the tasks that begin with the daemon have had their first round: they are no part of it."""

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
            trio.run(trio.sleep, SETTLE_SECONDS)
            subject.process.send_signal(signal.SIGUSR2)
            found = world("burst", amount=1, rate=1, patience=PATIENCE)
            subject.process.send_signal(signal.SIGUSR2)
            functions: list[tuple[str, str]] = json.loads(written(output))
    if any(question["replies"] != 1 for question in found["questions"]):
        raise RuntimeError("the message was not answered once")
    return [(file, name) for file, name in functions if not file.startswith("sandbox/")]


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
