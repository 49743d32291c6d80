"""What the disk allows: flushes a second, and SQLite inserts when all that wait share a commit."""

import itertools
import os
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from load import BODY_BYTES, Load

PAGE = bytes(4096)


def flushes_per_second(folder: Path, seconds: float) -> float:
    """Append a page and fdatasync it, again and again."""
    path = folder / "flushes"
    count = 0
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            file.write(PAGE)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / spent


class GroupCommits:
    """Rows like webhooks in one table with a unique id, one transaction for all that wait."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids = itertools.count()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE events (id TEXT UNIQUE, body BLOB NOT NULL) STRICT")

    def run(self, waiting: int, seconds: float) -> Load:
        """Commit `waiting` rows at a time for so long: each producer sends its next at once."""
        body = bytes(BODY_BYTES)
        cpu, started = time.process_time(), time.perf_counter()
        latencies: list[float] = []
        begun = started
        while begun < started + seconds:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO events VALUES (?, ?)",
                ((f"{next(self._ids):022x}-gHqFdSGxaw", body) for _ in range(waiting)),
            )
            self._connection.execute("COMMIT")
            done = time.perf_counter()
            latencies.append(done - begun)
            begun = done
        latencies.sort()
        rows = len(latencies) * waiting
        return Load(
            per_second=rows / (begun - started),
            p50=statistics.median(latencies),
            p99=latencies[len(latencies) * 99 // 100],
            slowest=latencies[-1],
            counted=rows,
            total=rows,
            cpu_seconds=time.process_time() - cpu,
        )


@contextmanager
def group_commits(folder: Path) -> Iterator[GroupCommits]:
    """Open a new database in `folder` with the settings of Recado's store."""
    with closing(sqlite3.connect(folder / "limit.db", isolation_level=None)) as connection:
        yield GroupCommits(connection)
