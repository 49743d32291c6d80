"""The daemon with a meter at its store's writer: how long each transaction holds it.

Usage: python measured_writer.py FILE run. At SIGUSR2 what was measured is written to the file: when
each transaction began (`time.perf_counter`, which is one for all processes of a Linux machine), the
seconds until its COMMIT, those until the end of it, and the writer's processor time in all of it.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from daemon.__main__ import main
from daemon.ledger.drivers.sqlite import database

_transaction = database.transaction


class Meter:
    """Measures what `database.transaction` encloses."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._holds: list[tuple[float, float, float, float]] = []

    @contextmanager
    def transaction(self, connection: database.SqliteConnection) -> Iterator[None]:
        """Stand in for `database.transaction`."""
        cpu, began = time.thread_time(), time.perf_counter()
        worked = began
        with _transaction(connection):
            yield
            worked = time.perf_counter()
        ended = time.perf_counter()
        self._holds.append((began, worked - began, ended - began, time.thread_time() - cpu))

    def write(self, _number: int, _frame: FrameType | None) -> None:
        """Write down what was measured until now."""
        new = self._output.with_suffix(".new")
        new.write_text(json.dumps(self._holds))
        new.rename(self._output)


if __name__ == "__main__":
    meter = Meter(Path(sys.argv[1]))
    database.transaction = meter.transaction
    signal.signal(signal.SIGUSR2, meter.write)
    sys.argv = ["recado", *sys.argv[2:]]
    main()
